//! `cards status`: suspends, resumes or deactivates a card's tokens where they live.

use std::io;

use clap::{Args, ValueEnum};
use serde_json::json;
use zeroize::Zeroizing;

use crate::api::views;
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::commands::tables::print_json;
use crate::dispatcher::{CommandRequest, Commanded, request_command};
use crate::domain::{CardId, ProgramToken, TokenCommand};
use crate::store::JobView;
use crate::telemetry::Clock;

#[derive(Args)]
pub struct StatusArgs {
    /// The card; of Mastercard Processing Digital, the card contract
    /// The card
    #[arg(allow_hyphen_values = true)]
    id: String,
    /// What is wanted of its tokens
    command: CommandWord,
    /// Only this token of the card: - reads it from standard input [default: all of them]
    #[arg(long, value_name = "-", allow_hyphen_values = true)]
    token: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum CommandWord {
    Suspend,
    Resume,
    /// Final; a card of a Checkout program is deleted
    Deactivate,
}

impl From<CommandWord> for TokenCommand {
    fn from(word: CommandWord) -> Self {
        match word {
            CommandWord::Suspend => Self::Suspend,
            CommandWord::Resume => Self::Resume,
            CommandWord::Deactivate => Self::Deactivate,
        }
    }
}

pub fn run(common: &Common, args: &StatusArgs) -> Result<(), Failure> {
    // Not left to the parser, which would quote what may be a token.
    if args.token.as_ref().is_some_and(|given| given != "-") {
        return Err(Failure::wrong(
            "--token takes only -: the token is read from standard input",
        ));
    }
    let (settings, store) = common.open()?;
    let request = CommandRequest {
        card_id: CardId::parse(&args.id).map_err(Failure::wrong)?,
        token: args
            .token
            .as_ref()
            .map(|_| from_standard_input())
            .transpose()?,
        command: args.command.into(),
    };
    let now = Clock::system().now();
    let refused = |why: &str| Err(Failure::unwell(why));
    match request_command(&store, &settings.policy(), &request, now)? {
        Commanded::Queued(job) => print(args, &request, Some(&job), false),
        Commanded::NoChange(job) => print(args, &request, job.as_deref(), true),
        Commanded::UnknownCard => refused("no card of this id is known"),
        Commanded::Ended => refused("the card has ended"),
        Commanded::ProgramUnknown => refused("it is not known which program the card belongs to"),
        Commanded::NotOffered => {
            refused("to suspend and resume a card of this program is the issuer's")
        }
        Commanded::UnknownToken => refused("the card has no such token, or none is known yet"),
        Commanded::Illegal(from) => {
            let (to, from) = (request.command.word(), from.word());
            refused(&format!(
                "{to} is not possible: after the commands that wait the status is {from}"
            ))
        }
    }
}

/// A token is a secret: never an argument, which other users of the machine can see.
fn from_standard_input() -> Result<ProgramToken, Failure> {
    let text = io::read_to_string(io::stdin()).map(Zeroizing::new);
    let text = text.map_err(|_| Failure::wrong("standard input cannot be read as text"))?;
    let token = ProgramToken::parse(text.trim_end_matches(['\r', '\n']));
    token.ok_or_else(|| Failure::wrong("standard input does not hold a token"))
}

fn print(
    args: &StatusArgs,
    request: &CommandRequest,
    job: Option<&JobView>,
    is_no_change: bool,
) -> Result<(), Failure> {
    let word = request.command.word();
    if args.json {
        let outcome = if is_no_change { "no_change" } else { "queued" };
        return Ok(print_json(&json!({
            "cardId": request.card_id,
            "tokenStatus": word,
            "outcome": outcome,
            "job": job.map(views::Job::from),
        }))?);
    }
    match (job, is_no_change) {
        (Some(job), false) => println!("{word} queued for a running serve: call {}", job.id),
        (Some(job), true) => println!("no change: call {} is {}", job.id, job.state),
        (None, _) => println!("no change: the tokens have that status"),
    }
    Ok(())
}

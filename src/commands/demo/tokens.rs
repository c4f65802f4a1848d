//! The stories of an issuer's card contract and of a bank's token: commands of the merchant, carried out
//! where the tokens live.

use serde_json::json;

use super::story::{Told, say, step};
use super::tale::Tale;
use crate::commands::failure::Failure;
use crate::domain::{CardId, Job, JobKind, TokenCommand};
use crate::telemetry::Clock;

/// Programs of the settings that the sandbox answers for.
pub const ISSUER: &str = "issuer";
pub const BANK: &str = "bank";

/// A card contract that the sandbox has from the start, one of its two tokens, and its client.
const CONTRACT: &str = "70001";
const CONTRACT_TOKEN: &str = "5598765432109876";
const CLIENT: &str = "40000";
/// The contract of the card that replaces it.
const REPLACEMENT: &str = "70002";
const LOST: &str = "41";
/// The card that is a token of the bank, and that token, which the sandbox has from the start.
const BANK_CARD: &str = "demo-card-of-the-bank";
const BANK_TOKEN: &str = "-s9UCfCNN0YMk4ZOyZX8pWAt";
const CUSTOMER: &str = "customer-1";

impl Tale<'_> {
    /// Tells of one card of each program that keeps tokens only.
    pub fn tell_tokens(&self) -> Told {
        say("One card of each other program: its tokens are suspended and ended where they live")?;
        self.tell_contract()?;
        self.tell_bank_card()?;
        say("")
    }

    fn tell_contract(&self) -> Told {
        let id = CardId::parse(CONTRACT).map_err(Failure::wrong)?;
        step(
            "Mastercard Processing Digital: the issuer's app registers a contract with one token",
        )?;
        self.register(
            CONTRACT,
            &json!({
                "program": ISSUER,
                "consumerReference": CLIENT,
                "tokens": [{ "tokenNumber": CONTRACT_TOKEN }],
            }),
        )?;
        say("      asked at once, the other side knows another token of the contract")?;
        self.show_tokens(&id)?;
        step("The app suspends one of the two")?;
        self.command(CONTRACT, TokenCommand::Suspend, Some(CONTRACT_TOKEN))?;
        self.show_tokens(&id)?;
        there(self.sandbox.token_status(CONTRACT_TOKEN))?;
        step(&format!("The card is lost: its contract has status {LOST}"))?;
        self.lose()?;
        self.show_tokens(&id)?;
        step("The other side links the tokens to the card's replacement; they are read again")?;
        self.sandbox.relink(CONTRACT, REPLACEMENT);
        self.read_tokens(&id)?;
        self.show_tokens(&id)?;
        self.show_tokens(&CardId::parse(REPLACEMENT).map_err(Failure::wrong)?)
    }

    fn lose(&self) -> Told {
        let path = format!("/v1/cards/{CONTRACT}/contract-status");
        let answer = self.put(&path, &json!({ "contractStatus": LOST }))?;
        say(&format!("      PUT {path}: {}", answer.sentence()))
    }

    /// Asks for a card's tokens at once, as `reconcile --card` does; the service itself asks for those
    /// that wait to be relinked every few hours.
    fn read_tokens(&self, id: &CardId) -> Told {
        let now = Clock::system().now();
        let job = Job {
            kind: JobKind::ReadTokens,
            not_before: now,
        };
        Ok(self.store.write(|tx| tx.queue_job(id, &job, None, now))?)
    }

    fn tell_bank_card(&self) -> Told {
        let id = CardId::parse(BANK_CARD).map_err(Failure::wrong)?;
        step("Alliance Bank: the merchant's app registers a card, which is one token")?;
        self.register(
            BANK_CARD,
            &json!({
                "program": BANK,
                "consumerReference": CUSTOMER,
                "token": { "paymentToken": BANK_TOKEN },
            }),
        )?;
        self.show_tokens(&id)?;
        for (what, command) in [
            ("The app suspends it", TokenCommand::Suspend),
            ("The app resumes it", TokenCommand::Resume),
            ("The app deactivates it, for good", TokenCommand::Deactivate),
        ] {
            step(what)?;
            self.command(BANK_CARD, command, None)?;
            self.show_tokens(&id)?;
            there(self.sandbox.bank_token(BANK_TOKEN))?;
        }
        let path = format!("/v1/cards/{BANK_CARD}");
        let answer = self.get(&path)?;
        say(&format!("      GET {path}: {}", answer.sentence()))
    }
}

/// How the other side has a token, in its own words.
fn there(status: Option<String>) -> Told {
    let status = status.unwrap_or_else(|| "no such token".to_owned());
    say(&format!("      the other side has it as {status}"))
}

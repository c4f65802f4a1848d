//! `notifications`: list, show, explain, replay.

mod replay;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Common;
use super::failure::Failure;
use super::tables::{PageArgs, plain, print_json, print_table};
use crate::api::views;
use crate::domain::Hold;
use crate::store::{Explained, JobView, NotificationFilter, NotificationView, Replay};
use crate::telemetry::timestamp;

pub(super) use replay::since;

#[derive(Subcommand)]
pub enum NotificationsCommand {
    /// Lists notifications, the latest first
    List {
        /// Only those of this card
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        card: Option<String>,
        /// Only those with this verdict: applied, no_change, duplicate, stale, parked, quarantined
        #[arg(long)]
        verdict: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Judges recorded notifications anew, as they were received; says what came of each
    ///
    /// What was applied is found to be known and changes nothing. What was held gets the verdict it
    /// deserves now. Who asked, why and when is kept.
    Replay(replay::ReplayStored),
    /// Shows one notification: its verdict, and what it changed
    Show {
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tells how the verdict came about: register by register, rule by rule, and the calls it caused
    Explain {
        #[arg(allow_hyphen_values = true)]
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(common: &Common, command: NotificationsCommand) -> Result<(), Failure> {
    match command {
        NotificationsCommand::List {
            card,
            verdict,
            page,
        } => {
            let filter = NotificationFilter {
                card_id: card,
                verdict,
                after: page.after,
                limit: page.limit,
                ..NotificationFilter::default()
            };
            list(common, &filter, page.json)
        }
        NotificationsCommand::Replay(args) => replay::run(common, &args),
        NotificationsCommand::Show { id, json } => show(common, &id, json),
        NotificationsCommand::Explain { id, json } => explain(common, &id, json),
    }
}

fn list(common: &Common, filter: &NotificationFilter, as_json: bool) -> Result<(), Failure> {
    let store = common.open_to_read("notifications")?;
    let rows = store.read(|tx| tx.list_notifications(filter))?;
    if as_json {
        let notifications: Vec<Value> = rows.iter().map(views::notification).collect();
        let next = views::next(&rows, filter.limit, |row| row.id.clone());
        return Ok(print_json(
            &json!({ "notifications": notifications, "next": next }),
        )?);
    }
    let cells = |row: &NotificationView| {
        vec![
            row.id.clone(),
            timestamp(row.received_at),
            row.card_id.clone().unwrap_or_default(),
            row.reason.clone().unwrap_or_default(),
            row.verdict_words(),
            row.rule.clone(),
            row.changes.len().to_string(),
        ]
    };
    let head = [
        "NOTIFICATION",
        "RECEIVED",
        "CARD",
        "REASON",
        "VERDICT",
        "RULE",
        "CHANGES",
    ];
    Ok(print_table(&head, rows.iter().map(cells))?)
}

fn show(common: &Common, id: &str, as_json: bool) -> Result<(), Failure> {
    let row = find(common, id)?.notification;
    if as_json {
        return Ok(print_json(&views::notification(&row))?);
    }
    print_head(&row)?;
    print_changes(&row)
}

fn explain(common: &Common, id: &str, as_json: bool) -> Result<(), Failure> {
    let Explained {
        notification: row,
        jobs,
        replays,
    } = find(common, id)?;
    if as_json {
        let more = [
            ("replays", replays.iter().map(views::replay).collect()),
            ("trace", json!(row.trace)),
            ("jobs", jobs.iter().map(views::job).collect()),
        ];
        let explained = views::with(views::notification(&row), more);
        return Ok(print_json(&explained)?);
    }
    print_head(&row)?;
    println!("\nHow it was decided");
    let step = |step: &crate::domain::TraceStep| vec![step.register.clone(), step.step.clone()];
    print_table(&["REGISTER", "STEP"], row.trace.iter().map(step))?;
    print_changes(&row)?;
    if !replays.is_empty() {
        println!("\nReplays");
        let cells = |replay: &Replay| {
            vec![
                timestamp(replay.at),
                replay.operator.clone(),
                replay.reason.clone(),
                replay.verdict.clone(),
            ]
        };
        print_table(
            &["AT", "BY", "REASON", "VERDICT"],
            replays.iter().map(cells),
        )?;
    }
    if jobs.is_empty() {
        println!("\nNo call followed from it.");
        return Ok(());
    }
    println!("\nCalls that followed");
    let cells = |job: &JobView| {
        vec![
            job.kind.clone(),
            job.state.clone(),
            timestamp(job.next_at),
            job.attempts.to_string(),
        ]
    };
    Ok(print_table(
        &["CALL", "STATE", "NOT BEFORE", "ATTEMPTS"],
        jobs.iter().map(cells),
    )?)
}

fn find(common: &Common, id: &str) -> Result<Explained, Failure> {
    let store = common.open_to_read(&format!("notifications/{id}"))?;
    let explained = store.read(|tx| tx.explained(id))?;
    explained.ok_or_else(|| Failure::unwell("no notification of this id is known"))
}

fn print_head(row: &NotificationView) -> Result<(), Failure> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let help = row.hold.as_deref().and_then(Hold::help);
    let lines = [
        ("notification", row.id.clone()),
        ("card", or_none(&row.card_id)),
        ("received", timestamp(row.received_at)),
        ("event time", or_none(&row.event_time.map(timestamp))),
        ("reason", or_none(&row.reason)),
        ("status", or_none(&row.status)),
        ("verdict", row.verdict_words()),
        ("rule", row.rule.clone()),
        ("flags", plain(&json!(row.flags))),
    ];
    let lines = lines
        .into_iter()
        .chain(help.map(|help| ("what helps", help.to_owned())))
        .map(|(name, value)| vec![name.to_owned(), value]);
    Ok(print_table(&["", ""], lines)?)
}

fn print_changes(row: &NotificationView) -> Result<(), Failure> {
    if row.changes.is_empty() {
        println!("\nIt changed nothing.");
        return Ok(());
    }
    println!("\nWhat it changed");
    let cells = |change: &crate::domain::Change| {
        vec![change.field.clone(), plain(&change.from), plain(&change.to)]
    };
    Ok(print_table(
        &["FIELD", "FROM", "TO"],
        row.changes.iter().map(cells),
    )?)
}

//! `maintenance on`, `off`, `status`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::failure::Failure;
use super::tables::{print_json, print_table};
use super::{Common, record_reading};
use crate::audit::Act;
use crate::store::{Entry, Maintenance, Store, StoreError};
use crate::telemetry::{Clock, timestamp};

#[derive(Subcommand)]
pub enum MaintenanceCommand {
    /// Leaves what is received, and calls that are due, waiting
    On {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Processes what waits again
    Off {
        /// At most this many deliveries a second, until none waits [default: as fast as it can]
        #[arg(long, value_name = "N", value_parser = rate)]
        rate: Option<i32>,
    },
    /// Whether it is on, since when, why, and what waits
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A rate: a whole number, also written `50/s`.
fn rate(text: &str) -> Result<i32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse();
    let number = number.ok().filter(|rate| (1..=100_000).contains(rate));
    number.ok_or_else(|| "a rate is 1 to 100000 deliveries a second".to_owned())
}

pub fn run(common: &Common, command: MaintenanceCommand) -> Result<(), Failure> {
    let (_, store) = common.open()?;
    match command {
        MaintenanceCommand::On { reason } => on(&store, &reason),
        MaintenanceCommand::Off { rate } => off(&store, rate),
        MaintenanceCommand::Status { json } => status(&store, json),
    }
}

fn on(store: &Store, reason: &str) -> Result<(), Failure> {
    let now = Clock::system().now();
    store.write(|tx| {
        tx.begin_maintenance(reason, now)?;
        tx.audit(Entry {
            act: Act::MaintenanceBegun,
            object: "maintenance",
            outcome: "done",
            details: json!({ "reason": reason }),
            at: now,
        })
    })?;
    println!("on: notifications are received and wait; so do calls that are due");
    Ok(())
}

fn off(store: &Store, rate: Option<i32>) -> Result<(), Failure> {
    let now = Clock::system().now();
    let (was_in_force, waiting) = store.write(|tx| {
        let in_force = tx.maintenance()?;
        match (&in_force, rate) {
            (Some(in_force), Some(rate)) => tx.drain(&in_force.reason, rate, now)?,
            _ => tx.end_maintenance()?,
        }
        tx.audit(Entry {
            act: Act::MaintenanceEnded,
            object: "maintenance",
            outcome: if in_force.is_some() {
                "done"
            } else {
                "no_change"
            },
            details: json!({ "rate": rate }),
            at: now,
        })?;
        Ok::<_, StoreError>((in_force.is_some(), tx.count_waiting()?))
    })?;
    match (was_in_force, rate) {
        (false, _) => println!("it was not on"),
        (true, Some(rate)) => println!("off: {waiting} deliveries drain, {rate} a second at most"),
        (true, None) => println!("off: {waiting} deliveries wait to be decided"),
    }
    Ok(())
}

fn status(store: &Store, as_json: bool) -> Result<(), Failure> {
    record_reading(store, "maintenance")?;
    let (in_force, backlog, jobs) = store.snapshot(|tx| {
        Ok((
            tx.maintenance()?,
            tx.count_waiting()?,
            tx.count_open_jobs()?,
        ))
    })?;
    let calls: i64 = jobs.iter().map(|(_, _, count)| count).sum();
    if as_json {
        return Ok(print_json(&json!({
            "maintenance": in_force.as_ref().map(shown),
            "backlog": backlog,
            "openCalls": calls,
        }))?);
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows = match &in_force {
        None => vec![row("maintenance", "off".to_owned())],
        Some(in_force) => vec![row("maintenance", in_words(in_force))],
    };
    rows.push(row("deliveries that wait", backlog.to_string()));
    rows.push(row("calls that are open", calls.to_string()));
    Ok(print_table(&[], rows)?)
}

fn shown(in_force: &Maintenance) -> Value {
    json!({
        "on": in_force.is_on(),
        "reason": in_force.reason,
        "operator": in_force.operator,
        "since": timestamp(in_force.at),
        "drainRate": in_force.drain_rate,
    })
}

/// What is in force, as people read it.
pub fn in_words(in_force: &Maintenance) -> String {
    let Maintenance {
        reason,
        operator,
        at,
        drain_rate,
        ..
    } = in_force;
    let since = timestamp(*at);
    match drain_rate {
        None => format!("on since {since}, by {operator}: {reason}"),
        Some(rate) => format!("off since {since}, by {operator}: {rate} deliveries a second"),
    }
}

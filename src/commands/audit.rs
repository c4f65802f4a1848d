//! `audit`: verify, list.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Common;
use super::failure::Failure;
use super::notifications::since;
use super::service_record::Checkpoint;
use super::tables::{print_json, print_table};
use crate::audit::Act;
use crate::store::{AuditFilter, AuditRecord, Entry, Fault, Head, Verified};
use crate::telemetry::{Clock, timestamp};

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Verifies that no record was changed, added or removed; names the first bad one of each chain
    Verify(VerifyArgs),
    /// Lists records, the latest first
    List(ListArgs),
}

#[derive(Args)]
pub struct VerifyArgs {
    /// Heads of the chains as a service wrote them (audit.checkpoint_file): finds what was cut off
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ListArgs {
    /// Only this act, such as card.delete
    #[arg(long)]
    act: Option<String>,
    /// Only what this actor did, such as api:NAME or cli:USER
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only what was done to this
    #[arg(long, allow_hyphen_values = true)]
    object: Option<String>,
    /// Only since: 2026-07-20T10:00:00Z, or as long ago as 30m, 2h, 3d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<i64>,
    /// This many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    limit: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Damaged chains that are told of.
const SHOWN: usize = 100;

pub fn run(common: &Common, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(args) => verify(common, &args),
        AuditCommand::List(args) => list(common, args),
    }
}

fn verify(common: &Common, args: &VerifyArgs) -> Result<(), Failure> {
    let kept = match &args.checkpoint {
        Some(file) => read_checkpoints(file)?,
        None => Vec::new(),
    };
    let (_, store) = common.open()?;
    let verified = store.snapshot(|tx| tx.verify_audit(&kept))?;
    let outcome = if verified.faults.is_empty() {
        "whole"
    } else {
        "damaged"
    };
    let entry = Entry {
        act: Act::AuditVerified,
        object: "audit",
        outcome,
        details: view(&verified),
        at: Clock::system().now(),
    };
    store.write(|tx| tx.audit(entry))?;
    if args.json {
        print_json(&view(&verified))?;
    } else {
        println!(
            "{} records in {} chains, {} damaged",
            verified.records,
            verified.chains,
            verified.faults.len()
        );
        let cells = |fault: &Fault| {
            let place = fault.place.to_string();
            vec![fault.writer.clone(), place, fault.what.word().to_owned()]
        };
        if !verified.faults.is_empty() {
            print_table(
                &["CHAIN", "RECORD", "FAULT"],
                verified.faults.iter().take(SHOWN).map(cells),
            )?;
        }
    }
    match verified.faults.is_empty() {
        true => Ok(()),
        false => Err(Failure::unwell("the audit is not as it was written")),
    }
}

fn view(verified: &Verified) -> Value {
    let fault = |fault: &Fault| json!({ "writer": fault.writer, "place": fault.place, "fault": fault.what.word() });
    json!({
        "records": verified.records,
        "chains": verified.chains,
        "faults": verified.faults.iter().take(SHOWN).map(fault).collect::<Vec<_>>(),
    })
}

fn read_checkpoints(file: &Path) -> Result<Vec<Head>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::wrong(format!(
            "{}: cannot be read: {}",
            file.display(),
            error.kind()
        ))
    })?;
    let mut heads = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let wrong = |_| {
            let file = file.display();
            Failure::wrong(format!(
                "{file}:{number}: is not a line of a checkpoint file"
            ))
        };
        let line: Checkpoint = serde_json::from_str(line).map_err(wrong)?;
        heads.extend(line.heads);
    }
    Ok(heads)
}

fn list(common: &Common, args: ListArgs) -> Result<(), Failure> {
    let store = common.open_to_read("audit")?;
    let filter = AuditFilter {
        act: args.act,
        actor: args.actor,
        object: args.object,
        since: args.since,
        limit: args.limit,
    };
    let records = store.read(|tx| tx.list_audit(&filter))?;
    if args.json {
        let records: Vec<Value> = records.iter().map(record).collect();
        return Ok(print_json(&json!({ "records": records }))?);
    }
    let cells = |record: &AuditRecord| {
        vec![
            timestamp(record.at),
            record.actor.clone(),
            record.origin.clone(),
            record.act.clone(),
            record.object.clone(),
            record.outcome.clone(),
        ]
    };
    let head = ["AT", "ACTOR", "ORIGIN", "ACT", "OBJECT", "OUTCOME"];
    Ok(print_table(&head, records.iter().map(cells))?)
}

fn record(record: &AuditRecord) -> Value {
    let details: Value = serde_json::from_str(&record.details).unwrap_or_default();
    json!({
        "writer": record.writer,
        "place": record.place,
        "at": timestamp(record.at),
        "actor": record.actor,
        "origin": record.origin,
        "act": record.act,
        "object": record.object,
        "outcome": record.outcome,
        "details": details,
    })
}

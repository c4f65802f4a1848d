//! `reconcile`: asks the programs for cards that they have not told of for long, or of which something seems
//! to have been missed.

use std::collections::BTreeSet;
use std::io;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::failure::Failure;
use super::notifications::since;
use super::refusals::Refusals;
use super::tables::{print_json, progress_style};
use super::{Common, programs};
use crate::audit::Act;
use crate::domain::{Card, CardId, Job, JobKind, Missed, MissedRules, Policy};
use crate::store::{Entry, JobState, JobView, Store, StoreError, Tx};
use crate::telemetry::Clock;

#[derive(Args)]
pub struct ReconcileArgs {
    /// Cards not heard of since: 2026-07-20T10:00:00Z, or as long ago as 30m, 2h, 3d
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = since)]
    since: i64,
    /// Only the cards of this program [default: of every program that can be called]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    program: Option<String>,
    /// This card, whenever it was last heard of; several times for several cards
    #[arg(
        long = "card",
        value_name = "ID",
        allow_hyphen_values = true,
        conflicts_with_all = ["since", "program"]
    )]
    cards: Vec<String>,
    /// The cards of which something seems to have been missed, as `check --data` finds them; of one
    /// kind, or of all
    #[arg(
        long,
        value_name = "KIND",
        num_args = 0..=1,
        value_parser = kind,
        conflicts_with_all = ["since", "program", "cards"]
    )]
    missed: Option<Option<Missed>>,
    /// Print how many would be asked for, and queue nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Cards of one look, and of one transaction.
const PAGE: i64 = 200;

pub fn run(common: &Common, args: &ReconcileArgs) -> Result<(), Failure> {
    let (settings, store) = common.open()?;
    let callable = programs::all_callable(&settings, &Clock::system()).map_err(Failure::wrong)?;
    let callable: BTreeSet<String> = callable.into_iter().map(|(name, ..)| name).collect();
    let mut summary = Summary::default();
    let ids = match (args.cards.as_slice(), &args.program, args.missed) {
        ([], None, Some(kind)) => {
            let ids = missed(&store, &settings.missed_rules(), kind)?;
            named(&store, &callable, &ids, &mut summary)?
        }
        ([], None, None) => not_heard_of(&store, &callable, args.since)?,
        ([], Some(program), _) if callable.contains(program) => {
            not_heard_of(&store, &[program.clone()].into(), args.since)?
        }
        ([], Some(_), _) => {
            return Err(Failure::wrong(
                "--program names no program that can be called",
            ));
        }
        (cards, ..) => named(&store, &callable, cards, &mut summary)?,
    };
    let bar = ProgressBar::new(ids.len() as u64).with_style(progress_style("cards"));
    let policy = settings.policy();
    for page in ids.chunks(PAGE as usize) {
        let ask = |tx: &mut Tx<'_>| ask_for(tx, &policy, page, Clock::system().now());
        let asked = match args.dry_run {
            true => store.rehearse(ask)?,
            false => store.write(ask)?,
        };
        summary.queued += asked.queued;
        summary.open_before += asked.open_before;
        bar.inc(page.len() as u64);
    }
    bar.finish_and_clear();
    summary.print(args)?;
    summary.refused.verdict("some cards cannot be asked for")
}

fn kind(name: &str) -> Result<Missed, String> {
    let names = || Missed::ALL.map(Missed::name).join(", ");
    Missed::of_name(name).ok_or_else(|| format!("the kinds are {}", names()))
}

/// The cards of a kind, or of all kinds, each once.
fn missed(
    store: &Store,
    rules: &MissedRules,
    kind: Option<Missed>,
) -> Result<Vec<String>, Failure> {
    let now = Clock::system().now();
    let mut found = BTreeSet::new();
    for kind in Missed::ALL
        .into_iter()
        .filter(|it| kind.is_none_or(|kind| kind == *it))
    {
        let mut after = None;
        loop {
            let look = |tx: &mut Tx<'_>| tx.missed_cards(kind, rules, now, after.as_ref(), PAGE);
            let page = store.read(look)?;
            found.extend(page.iter().map(|card| card.card_id.clone()));
            match page.into_iter().last() {
                Some(last) => after = Some(last.cursor),
                None => break,
            }
        }
    }
    Ok(Vec::from_iter(found))
}

/// The living cards of these programs of which nothing was heard since.
fn not_heard_of(
    store: &Store,
    programs: &BTreeSet<String>,
    since: i64,
) -> Result<Vec<CardId>, Failure> {
    let mut found = Vec::new();
    for program in programs {
        let mut after = String::new();
        loop {
            let page =
                store.read(|tx| tx.cards_not_heard_of(program, since, &after, false, PAGE))?;
            found.extend(page.iter().filter_map(|id| CardId::parse(id).ok()));
            match page.into_iter().last() {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    Ok(found)
}

/// Those of the named cards that can be asked for; the others are refused.
fn named(
    store: &Store,
    callable: &BTreeSet<String>,
    ids: &[String],
    summary: &mut Summary,
) -> Result<Vec<CardId>, Failure> {
    let mut found = Vec::new();
    for id in ids {
        let id = CardId::parse(id).map_err(Failure::wrong)?;
        let row = store.read(|tx| tx.card(&id))?;
        let program = row.as_ref().and_then(|row| row.program.as_ref());
        let refusal = match (&row, program) {
            (None, _) => "no card of this id is known",
            (Some(row), _) if row.card.terminal.is_some() => "it has ended",
            (_, None) => "its program is not known",
            (_, Some(program)) if !callable.contains(program) => "its program cannot be called",
            _ => {
                found.push(id);
                continue;
            }
        };
        summary.refused.add(id, refusal);
    }
    Ok(found)
}

/// What became of a page of cards.
struct Asked {
    queued: u64,
    open_before: u64,
}

/// Queues the call that asks for it for each card that lives and has none that is open.
fn ask_for(
    tx: &mut Tx<'_>,
    policy: &Policy,
    ids: &[CardId],
    now: i64,
) -> Result<Asked, StoreError> {
    let mut asked = Asked {
        queued: 0,
        open_before: 0,
    };
    let page = BTreeSet::from_iter(ids.iter().cloned());
    tx.lock_cards(&page)?;
    let cards = tx.load_cards(&page)?;
    let mut recorded = Vec::new();
    for id in &page {
        // It may have ended since it was chosen.
        let lives = |card: &&Card| card.terminal.is_none();
        let Some(card) = cards.get(id).and_then(Option::as_ref).filter(lives) else {
            continue;
        };
        let lookup = Job {
            kind: policy.lookup(policy.program_of(card).as_deref()),
            not_before: now,
        };
        if tx
            .jobs_of_card(id)?
            .iter()
            .any(|job| is_open(job, lookup.kind))
        {
            asked.open_before += 1;
            continue;
        }
        tx.queue_job(id, &lookup, None, now)?;
        asked.queued += 1;
        let entry = Entry {
            act: Act::CardsReconciled,
            object: id.as_str(),
            outcome: "done",
            details: serde_json::Value::Null,
            at: now,
        };
        recorded.push(entry);
    }
    for entry in recorded {
        tx.audit(entry)?;
    }
    Ok(asked)
}

fn is_open(job: &JobView, kind: JobKind) -> bool {
    let open = [JobState::Waiting, JobState::Running, JobState::Parked].map(JobState::name);
    job.kind == kind.name() && open.contains(&&*job.state)
}

#[derive(Default)]
struct Summary {
    queued: u64,
    /// Cards for which such a call waits, runs or is parked already.
    open_before: u64,
    refused: Refusals,
}

impl Summary {
    fn print(&self, args: &ReconcileArgs) -> io::Result<()> {
        if args.json {
            return print_json(&json!({
                "dryRun": args.dry_run,
                "queued": self.queued,
                "openBefore": self.open_before,
                "refused": self.refused.view("cardId"),
            }));
        }
        let queued = match args.dry_run {
            true => "would be queued",
            false => "queued for a running serve",
        };
        println!(
            "{} {queued}, {} open before, {} refused",
            self.queued,
            self.open_before,
            self.refused.count()
        );
        self.refused.print("CARD")
    }
}

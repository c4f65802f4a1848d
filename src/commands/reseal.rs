//! `keys reseal`: seals everything anew under the active storage key, so that an earlier one is needed no more.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::Common;
use super::failure::Failure;
use super::tables::{print_json, progress_style};
use crate::audit::Act;
use crate::store::{
    Entry, Renewed, SEALED, Scanned, SealedColumn, Store, StoreError, Tx, look_into_spool,
};
use crate::telemetry::Clock;

#[derive(Args)]
pub struct ResealArgs {
    /// Values of one transaction
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Rows of one look.
const LOOK: usize = 1000;
/// A row that was in use is met again in the next round.
const ROUNDS: usize = 5;
/// How often a transaction is tried while others are in its way, and the pause in between.
const ATTEMPTS: usize = 40;
const PAUSE: Duration = Duration::from_millis(250);

pub fn run(common: &Common, args: &ResealArgs) -> Result<(), Failure> {
    let (settings, store) = common.open()?;
    let work = Work {
        store,
        spool: settings.receiver.spool().map(Path::to_owned),
        batch: args.batch as usize,
    };
    let total: usize = work.left()?.iter().map(|(_, left)| left).sum();
    work.record("begun", json!({ "left": total }))?;
    let bar = ProgressBar::new(total as u64).with_style(progress_style("values"));
    let mut outcome = Outcome::default();
    for _ in 0..ROUNDS {
        outcome.unreadable.clear();
        for source in sources() {
            work.renew(source, &bar, &mut outcome)?;
        }
        outcome.left = work.left()?;
        if outcome.left.is_empty() || outcome.left_count() == outcome.unreadable.len() {
            break;
        }
    }
    bar.finish_and_clear();
    let (resealed, left) = (outcome.resealed, outcome.left_count());
    work.record("ended", json!({ "resealed": resealed, "left": left }))?;
    outcome.print(&work.store, args.json)?;
    outcome.verdict()
}

/// What is renewed as one.
#[derive(Clone, Copy)]
enum Source {
    Column(&'static SealedColumn),
    /// The digest of each card's latest item, which stands in the card's state.
    LatestItems,
}

/// Cards come first: their digests are found by those of their items.
fn sources() -> impl Iterator<Item = Source> {
    std::iter::once(Source::LatestItems).chain(SEALED.iter().map(Source::Column))
}

impl Source {
    fn name(self) -> String {
        match self {
            Self::Column(of) => format!("{}.{}", of.table, of.column),
            Self::LatestItems => "cards.state".to_owned(),
        }
    }

    fn scan(self, tx: &mut Tx<'_>, after: &str) -> Result<Scanned, StoreError> {
        match self {
            Self::Column(of) => tx.scan_sealed(of, after, LOOK),
            Self::LatestItems => tx.scan_cards(after, LOOK),
        }
    }

    fn renew(self, tx: &mut Tx<'_>, id: &str) -> Result<Renewed, StoreError> {
        match self {
            Self::Column(of) => tx.reseal(of, id),
            Self::LatestItems => tx.renew_latest_digest(id),
        }
    }
}

struct Work {
    store: Store,
    /// What waits in it is sealed anew when it is moved.
    spool: Option<PathBuf>,
    batch: usize,
}

impl Work {
    /// The values themselves are sealed in many transactions: whoever was killed is known by its beginning.
    fn record(&self, outcome: &'static str, details: Value) -> Result<(), StoreError> {
        self.store.write(|tx| {
            tx.audit(Entry {
                act: Act::KeysResealed,
                object: self.store.keys().active_id(),
                outcome,
                details,
                at: Clock::system().now(),
            })
        })
    }

    /// Renews what is under another key, in the order of the rows' ids.
    fn renew(
        &self,
        source: Source,
        bar: &ProgressBar,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        self.look_through(source, |scanned| {
            for ids in scanned.renewable.chunks(self.batch) {
                let begun = Instant::now();
                for (id, renewed) in ids.iter().zip(self.renew_batch(source, ids)?) {
                    match renewed {
                        Renewed::Yes => outcome.resealed += 1,
                        Renewed::NotNow => {}
                        Renewed::Unreadable => {
                            outcome
                                .unreadable
                                .push(format!("{} of {id}", source.name()));
                        }
                    }
                }
                bar.inc(ids.len() as u64);
                // SQLite's one writer: serve gets its turn, for as long as this had it.
                std::thread::sleep(begun.elapsed());
            }
            Ok(())
        })
    }

    fn renew_batch(&self, source: Source, ids: &[String]) -> Result<Vec<Renewed>, StoreError> {
        patiently(|| {
            self.store
                .write(|tx| ids.iter().map(|id| source.renew(tx, id)).collect())
        })
    }

    /// What is under another key than the active one, by column; only those where something is.
    fn left(&self) -> Result<Vec<(String, usize)>, Failure> {
        let mut left = Vec::new();
        for source in sources() {
            let mut count = 0;
            self.look_through(source, |scanned| {
                count += scanned.stale;
                Ok(())
            })?;
            if count > 0 {
                left.push((source.name(), count));
            }
        }
        if let Some(path) = &self.spool
            && let Some((_, stale @ 1..)) = look_into_spool(path, self.store.keys())?
        {
            left.push(("receiver.spool".to_owned(), stale as usize));
        }
        Ok(left)
    }

    fn look_through(
        &self,
        source: Source,
        mut look: impl FnMut(&Scanned) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut after = String::new();
        loop {
            let scanned = patiently(|| self.store.read(|tx| source.scan(tx, &after)))?;
            look(&scanned)?;
            match scanned.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }
}

/// Tries again what may succeed without anybody doing anything.
fn patiently<T>(mut work: impl FnMut() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 1..ATTEMPTS {
        match work() {
            Err(error) if error.is_passing() => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
    work()
}

#[derive(Default)]
struct Outcome {
    resealed: usize,
    /// Values that no loaded key opens, by column and row.
    unreadable: Vec<String>,
    left: Vec<(String, usize)>,
}

impl Outcome {
    fn left_count(&self) -> usize {
        self.left.iter().map(|(_, count)| count).sum()
    }

    fn print(&self, store: &Store, as_json: bool) -> Result<(), Failure> {
        let (keys, left) = (store.keys(), self.left_count());
        let earlier: Vec<&str> = keys.earlier_ids().collect();
        if as_json {
            let by_column = self.left.iter();
            let by_column = by_column.map(|(column, count)| (column.clone(), Value::from(*count)));
            let removable: &[&str] = if left == 0 { &earlier } else { &[] };
            return Ok(print_json(&json!({
                "activeKey": keys.active_id(),
                "resealed": self.resealed,
                "left": left,
                "leftByColumn": serde_json::Map::from_iter(by_column),
                "unreadable": self.unreadable,
                "removableKeys": removable,
            }))?);
        }
        let (active, resealed) = (keys.active_id(), self.resealed);
        println!("sealed anew under {active}: {resealed}; left under other keys: {left}");
        for (column, count) in &self.left {
            println!("{column}: {count} left");
        }
        for value in &self.unreadable {
            println!("cannot be opened: {value}");
        }
        if left == 0 && !earlier.is_empty() {
            println!(
                "No stored value needs it any more: {}. `audit verify` needs it as long as records of its \
                 time are kept, and backups made before do.",
                earlier.join(", ")
            );
        }
        Ok(())
    }

    fn verdict(&self) -> Result<(), Failure> {
        match self.left_count() {
            0 => Ok(()),
            left => Err(Failure::unwell(format!(
                "{left} values are still under other keys: keep those keys; if a serve was not restarted \
                 since the active key changed, restart it; then run this again"
            ))),
        }
    }
}

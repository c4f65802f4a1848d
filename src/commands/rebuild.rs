//! `rebuild --check`: recomputes cards from their recorded inputs and compares them with what is stored.

use std::io;

use clap::Args;
use serde_json::{Value, json};

use super::failure::Failure;
use super::tables::{print_json, print_table, progress_of_cards};
use super::{Common, record_reading};
use crate::domain::CardId;
use crate::processor::{Difference, Extent, Rebuild, Rebuilt};
use crate::store::Store;

#[derive(Args)]
pub struct RebuildArgs {
    /// Compare, and change nothing: nothing is repaired by this command
    #[arg(long, required = true)]
    check: bool,
    /// Only this card; several times for several cards
    #[arg(long = "card", value_name = "ID", allow_hyphen_values = true)]
    cards: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Cards of one look.
const PAGE: i64 = 500;

pub fn run(common: &Common, args: &RebuildArgs) -> Result<(), Failure> {
    let (settings, store) = common.open()?;
    record_reading(&store, "rebuild")?;
    let rebuild = Rebuild::new(settings.policy());
    let mut found = Found::default();
    let compared = match args.cards.is_empty() {
        true => all(&store, &rebuild, &mut found),
        false => these(&args.cards, &store, &rebuild, &mut found),
    };
    // What was found is told also where the rest could not be looked at.
    if compared.is_ok() || found.cards > 0 {
        found.print(args.json)?;
    }
    compared?;
    match found.differences.len() {
        0 => Ok(()),
        count => Err(Failure::unwell(format!(
            "{count} registers are not what their recorded inputs lead to"
        ))),
    }
}

fn these(
    ids: &[String],
    store: &Store,
    rebuild: &Rebuild,
    found: &mut Found,
) -> Result<(), Failure> {
    for id in ids {
        let id = CardId::parse(id).map_err(Failure::wrong)?;
        let rebuilt = store.snapshot(|tx| rebuild.card(tx, &id))?;
        let none = || Failure::wrong(format!("{id}: there is no such card"));
        found.add(&id, rebuilt.ok_or_else(none)?);
    }
    Ok(())
}

/// Every card, each in a snapshot of its own: others may write meanwhile.
fn all(store: &Store, rebuild: &Rebuild, found: &mut Found) -> Result<(), Failure> {
    let counts = store.read(|tx| tx.count_cards())?;
    let bar = progress_of_cards(counts.iter().map(|(_, count)| count).sum());
    let mut after = String::new();
    loop {
        let page = store.read(|tx| tx.card_ids_after(&after, PAGE))?;
        let Some(last) = page.last() else {
            break;
        };
        after.clone_from(last);
        for id in page.iter().filter_map(|id| CardId::parse(id).ok()) {
            if let Some(rebuilt) = store.snapshot(|tx| rebuild.card(tx, &id))? {
                found.add(&id, rebuilt);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let missing = store.snapshot(|tx| tx.cards_without_row())?;
    for id in missing.iter().filter_map(|id| CardId::parse(id).ok()) {
        found.add(&id, Rebuilt::without_row());
    }
    Ok(())
}

/// What was found of all cards together.
#[derive(Default)]
struct Found {
    cards: usize,
    without_numbers: usize,
    partly: usize,
    erased: usize,
    not_kept: usize,
    differences: Vec<(CardId, Difference)>,
}

impl Found {
    fn add(&mut self, id: &CardId, rebuilt: Rebuilt) {
        self.cards += 1;
        self.not_kept += rebuilt.not_kept;
        match rebuilt.extent {
            Extent::Whole => {}
            Extent::WithoutNumbers => self.without_numbers += 1,
            Extent::Partly => self.partly += 1,
            Extent::Erased => self.erased += 1,
        }
        let differences = rebuilt.differences.into_iter();
        self.differences
            .extend(differences.map(|difference| (id.clone(), difference)));
    }

    fn print(&self, as_json: bool) -> io::Result<()> {
        if as_json {
            return print_json(&self.json());
        }
        if !self.differences.is_empty() {
            let cells = |(id, difference): &(CardId, Difference)| {
                vec![
                    id.to_string(),
                    difference.register.clone(),
                    difference.stored.clone(),
                    difference.recomputed.clone(),
                ]
            };
            let head = ["CARD", "REGISTER", "STORED", "RECOMPUTED"];
            print_table(&head, self.differences.iter().map(cells))?;
        }
        let count = |what: &str, count: usize| vec![what.to_owned(), count.to_string()];
        print_table(
            &[],
            [
                count("cards compared", self.cards),
                count("differences", self.differences.len()),
                count("ended: compared without numbers", self.without_numbers),
                count("compared in part: older inputs are purged", self.partly),
                count("erased: nothing to compare", self.erased),
                count("inputs that are wiped or purged", self.not_kept),
            ],
        )
    }

    fn json(&self) -> Value {
        let difference = |(id, difference): &(CardId, Difference)| {
            json!({
                "cardId": id,
                "register": difference.register,
                "stored": difference.stored,
                "recomputed": difference.recomputed,
            })
        };
        json!({
            "cards": self.cards,
            "differences": self.differences.iter().map(difference).collect::<Vec<_>>(),
            "withoutNumbers": self.without_numbers,
            "inPart": self.partly,
            "erased": self.erased,
            "inputsNotKept": self.not_kept,
        })
    }
}

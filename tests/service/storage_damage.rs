//! D-21: the database's files are not as they were written. They are never taken for what they were.
//!
//! SQLite keeps no checksums of its pages. A flipped bit is therefore found by whoever reads what it changed: SQLite
//! itself (`check` has it read everything), the sealing of a value, the chains of the audit, `rebuild --check`, which
//! recomputes every card. Of what remains `ALWAYS_NOTICED` is no part. Seen to fail: without `rebuild --check` a bit of
//! a card goes unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use diesel::QueryResult;
use serde_json::Value;
use tokenkeep::domain::Card;
use tokenkeep::jose::StorageKeys;
use tokenkeep::processor::Extent;
use tokenkeep::settings::Settings;
use tokenkeep::store::{DatabaseUrl, Head, SEALED, Store, StoreError};

use crate::support::build::{NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::commands::with;
use crate::support::disk::image_folder;
use crate::support::random::Random;
use crate::support::rebuilt::rebuilt;
use crate::support::sql::texts_in;
use crate::support::{App, Backend, START, is_full, keys};

/// What a card is, its token and cryptogram, and the audit: here none goes unnoticed, but for the digest in a card's
/// state by which its latest item is known again. Columns by the beginning of their names.
const ALWAYS_NOTICED: [&str; 15] = [
    "audit.",
    "audit_writers.",
    "cards.consumer_reference",
    "cards.id",
    "cards.state",
    "cards.status",
    "cryptograms.card_id",
    "cryptograms.number_version",
    "cryptograms.value",
    "tokens.card_id",
    "tokens.expiration",
    "tokens.number",
    "tokens.rank",
    "tokens.registered_number",
    "card_tokens.value",
];

/// Every value, by table and column, and row.
type Cells = BTreeMap<(String, String), String>;

/// Reads the tables themselves, no index.
fn cells(file: &Path) -> QueryResult<Cells> {
    let texts = |query: &str| texts_in(file, query);
    let mut cells = Cells::new();
    for table in texts("SELECT name AS text FROM sqlite_master WHERE type = 'table'")? {
        for column in texts(&format!(
            "SELECT name AS text FROM pragma_table_info('{table}')"
        ))? {
            // The bytes: whether they are kept as text or as a number or as bytes makes no difference.
            let value = match format!("{table}.{column}").as_str() {
                "cards.state" => "state".to_owned(),
                _ => format!("quote(CAST(\"{column}\" AS BLOB))"),
            };
            let values = format!("rowid || ' ' || {value} AS text FROM \"{table}\"");
            for cell in texts(&format!("SELECT {values} NOT INDEXED"))? {
                let (row, value) = cell.split_once(' ').unwrap();
                let column = format!("{table}.{column}");
                let value = match column == "cards.state" {
                    true => as_read(value),
                    false => value.to_owned(),
                };
                cells.insert((column, row.to_owned()), value);
            }
        }
    }
    Ok(cells)
}

/// A card's state as the program reads it, less that digest: a name that is no longer the name of anything stands
/// for nothing.
fn as_read(state: &str) -> String {
    let Ok(card) = serde_json::from_str::<Card>(state) else {
        return state.to_owned();
    };
    let mut read = serde_json::to_value(card).unwrap();
    if let Some(latest) = read["latest_item"].as_object_mut() {
        latest.insert("digest".to_owned(), Value::Null);
    }
    read.to_string()
}

pub fn open(file: &Path) -> Result<Store, StoreError> {
    let keys = Arc::new(StorageKeys::load(&keys()).unwrap());
    Store::open_current(&DatabaseUrl::parse(file.to_str().unwrap()).unwrap(), keys)
}

/// Who finds the damage, asked in the order in which operators would: `None` if nobody does.
pub fn finder(store: &Store, heads: &[Head]) -> Option<&'static str> {
    match store.structure_fault() {
        Ok(None) => {}
        Ok(Some(_)) | Err(StoreError::Corrupt(_)) => return Some("check"),
        Err(other) => panic!("{other}"),
    }
    let verified = store.snapshot(|tx| tx.verify_audit(heads));
    if !verified.is_ok_and(|verified| verified.faults.is_empty()) {
        return Some("audit verify");
    }
    let cards = rebuilt(store, Settings::defaults().unwrap().policy());
    let differs = cards
        .iter()
        .any(|(_, card)| !card.differences.is_empty() || card.extent == Extent::Partly);
    differs.then_some("rebuild --check")
}

/// What becomes of a damaged file; `whole` is what was in it.
fn verdict(file: &Path, whole: &Cells) -> String {
    let store = match open(file) {
        Ok(store) => store,
        Err(StoreError::Corrupt(_) | StoreError::Unfit(_) | StoreError::Schema(_)) => {
            return "a start refuses it".to_owned();
        }
        Err(other) => panic!("{other}"),
    };
    if let Some(found) = finder(&store, &[]) {
        return format!("{found} finds it");
    }
    // Text that is none any more.
    let Ok(now) = cells(file) else {
        return "whoever reads it is refused".to_owned();
    };
    let all = BTreeSet::from_iter(whole.keys().chain(now.keys()));
    let changed = all
        .into_iter()
        .filter(|cell| now.get(cell) != whole.get(cell));
    let changed = Vec::from_iter(changed.map(|cell| (&*cell.0, whole.get(cell), now.get(cell))));
    if changed.is_empty() {
        return "nothing that is read has changed".to_owned();
    }
    let is_sealed = |column: &str| {
        let mut sealed = SEALED.iter();
        sealed.any(|of| column == format!("{}.{}", of.table, of.column))
    };
    if changed.iter().all(|(column, ..)| is_sealed(column)) {
        return "the sealed value does not open".to_owned();
    }
    let is_grave = |column: &str| ALWAYS_NOTICED.iter().any(|of| column.starts_with(of));
    let is_grave = changed.iter().any(|(column, ..)| is_grave(column));
    assert!(!is_grave, "unnoticed: {changed:#?}");
    "unnoticed beside what a card is".to_owned()
}

/// A database with cards in every state, as it is after its service has ended.
pub fn filled() -> App {
    let mut app = App::spawn(Backend::Sqlite);
    for number in 0..60 {
        let card = format!("card-{number}");
        let state = ["ACTIVE", "SUSPENDED", "CANCELLED"][number % 3];
        app.deliver(&plain(&[
            refresh(&card, START - 9_000, NUMBER_1, ("12", "2031")),
            status(&card, Some(START - 8_000), state),
        ]));
        if number % 4 == 0 {
            app.deliver(&plain(&[refresh(
                &card,
                START - 5_000,
                NUMBER_2,
                ("11", "2032"),
            )]));
        }
    }
    app.stop();
    app
}

#[test]
fn d21_a_flipped_bit_is_found_or_changes_nothing_of_what_a_card_is() {
    let flips = if is_full() { 200 } else { 40 };
    let app = filled();
    let whole = cells(&app.database.file()).unwrap();
    let bytes = fs::read(app.database.file()).unwrap();
    let mut random = Random::new(21);
    let mut verdicts = BTreeMap::<String, usize>::new();
    for _ in 0..flips {
        let folder = image_folder();
        let file = folder.path().join("tokenkeep.db");
        let mut damaged = bytes.clone();
        damaged[random.below(bytes.len())] ^= 1 << random.below(8);
        fs::write(&file, damaged).unwrap();
        *verdicts.entry(verdict(&file, &whole)).or_default() += 1;
    }
    let told = verdicts
        .iter()
        .map(|(what, count)| format!("{count} {what}"));
    println!(
        "D-21 {flips} of {flips} flipped bits told: {}",
        Vec::from_iter(told).join(", ")
    );
}

#[test]
fn d21_a_file_that_was_cut_is_refused_and_the_command_check_says_why() {
    let app = filled();
    let folder = image_folder();
    let file = folder.path().join("tokenkeep.db");
    let bytes = fs::read(app.database.file()).unwrap();
    for length in [100, 4_096, bytes.len() / 2, bytes.len() - 4_096] {
        fs::write(&file, &bytes[..length]).unwrap();
        assert!(
            matches!(open(&file), Err(StoreError::Corrupt(_))),
            "cut to {length}"
        );
        let variables = [("DATABASE_URL", file.to_str().unwrap())];
        let check = with(&app.database, &["check"], &variables);
        assert_eq!(check.code, 1, "{check:?}");
        assert!(
            check.stderr.contains("a backup must be restored"),
            "{check:?}"
        );
    }
    // An empty file is a database without a schema, which only `migrate` would fill.
    fs::write(&file, []).unwrap();
    assert!(matches!(open(&file), Err(StoreError::Schema(_))));
    // What is missing of the last page is read as zeros.
    let whole = cells(&app.database.file()).unwrap();
    for missing in [1, 100, 4_000] {
        fs::write(&file, &bytes[..bytes.len() - missing]).unwrap();
        println!(
            "D-21 the last {missing} bytes cut off: {}",
            verdict(&file, &whole)
        );
    }
}

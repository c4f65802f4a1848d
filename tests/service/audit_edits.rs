//! P-17: whatever is edited in the audit's tables, `audit verify` names the first bad record.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::audit::{Act, Actor};
use tokenkeep::store::{AuditRecord, Entry, FaultKind, Head, Store};

use crate::support::audit::{records, store};
use crate::support::commands::tokenkeep;
use crate::support::sql::sql;
use crate::support::{Backend, START, TestDatabase, is_full};

/// Records of each of the chains that are edited.
const CHAINS: usize = 3;
const RECORDS: i64 = 12;
/// Edits of one run: more in the full one.
fn edits(backend: Backend) -> u64 {
    match (is_full(), backend) {
        (true, _) => 1000,
        (false, Backend::Sqlite) => 300,
        (false, Backend::Postgres) => 100,
    }
}

/// A small generator, so that a failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn write(store: &Store, number: i64) {
    let object = format!("card-{number}");
    let entry = Entry {
        act: Act::CardDeleted,
        object: &object,
        outcome: "done",
        details: json!({ "number": number }),
        at: START + number,
    };
    store.write(|tx| tx.audit(entry)).unwrap();
}

/// A database with three chains written in turn, its triggers gone, as whoever owns it could have it.
fn prepared(backend: Backend) -> TestDatabase {
    let database = TestDatabase::new(backend);
    let stores: Vec<Store> = (0..CHAINS)
        .map(|number| store(&database).acting(Actor::terminal(&format!("user-{number}"), None)))
        .collect();
    for number in 0..RECORDS {
        stores.iter().for_each(|store| write(store, number));
    }
    sql(&database).execute(match backend {
        Backend::Sqlite => "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_kept",
        Backend::Postgres => "ALTER TABLE audit DISABLE TRIGGER ALL",
    });
    database
}

/// The SQL of one edit, and the records it may be found at: a moved record is missed where it was, and
/// is bad where it is.
struct Edit {
    sql: String,
    found_at: Vec<(String, i64, FaultKind)>,
}

fn at(record: &AuditRecord) -> String {
    format!("writer = '{}' AND place = {}", record.writer, record.place)
}

fn edit(random: &mut Random, all: &[AuditRecord]) -> Edit {
    let pick = |random: &mut Random| &all[random.below(all.len() as u64) as usize];
    let record = pick(random);
    let here = |what| (record.writer.clone(), record.place, what);
    match random.below(5) {
        0 => altered(random, record),
        1 => Edit {
            sql: format!("DELETE FROM audit WHERE {}", at(record)),
            found_at: vec![here(FaultKind::Missing)],
        },
        2 => {
            // A copy with another place, behind the end of its chain.
            let place = RECORDS + 1;
            let columns = "at, actor, origin, act, object, outcome, details, previous, hash";
            Edit {
                sql: format!(
                    "INSERT INTO audit (writer, place, {columns}) \
                     SELECT writer, {place}, {columns} FROM audit WHERE {}",
                    at(record)
                ),
                found_at: vec![(record.writer.clone(), place, FaultKind::Altered)],
            }
        }
        3 => {
            // Two records change places.
            let other = (1..=RECORDS)
                .cycle()
                .nth((record.place as u64 + random.below(RECORDS as u64 - 1)) as usize)
                .unwrap();
            let first = record.place.min(other);
            let writer = &record.writer;
            let place = record.place;
            Edit {
                sql: format!(
                    "UPDATE audit SET place = -1 WHERE writer = '{writer}' AND place = {place}; \
                     UPDATE audit SET place = {place} WHERE writer = '{writer}' AND place = {other}; \
                     UPDATE audit SET place = {other} WHERE writer = '{writer}' AND place = -1"
                ),
                found_at: vec![(writer.clone(), first, FaultKind::Altered)],
            }
        }
        _ => Edit {
            // The end of a chain is cut off.
            sql: format!(
                "DELETE FROM audit WHERE writer = '{}' AND place >= {}",
                record.writer, record.place
            ),
            found_at: vec![here(FaultKind::Missing)],
        },
    }
}

fn altered(random: &mut Random, record: &AuditRecord) -> Edit {
    let text = [
        "actor", "origin", "act", "object", "outcome", "details", "previous", "hash",
    ];
    let change = match random.below(text.len() as u64 + 2) as usize {
        0 => "at = at + 1".to_owned(),
        1 => "place = place + 100".to_owned(),
        column => format!("{0} = {0} || 'x'", text[column - 2]),
    };
    let here = (record.writer.clone(), record.place);
    let kinds = [FaultKind::Altered, FaultKind::Missing];
    let found_at = kinds.map(|what| (here.0.clone(), here.1, what));
    Edit {
        sql: format!("UPDATE audit SET {change} WHERE {}", at(record)),
        found_at: found_at.to_vec(),
    }
}

#[rstest]
fn p17_verify_names_the_first_bad_record_of_any_single_edit(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let edits = edits(backend);
    let database = prepared(backend);
    let judge = store(&database);
    let all = records(&judge);
    assert_eq!(all.len() as i64, CHAINS as i64 * RECORDS);
    let kept: Vec<Head> = judge.read(|tx| tx.latest_heads(100)).unwrap();
    sql(&database).execute("CREATE TABLE copy AS SELECT * FROM audit");
    let whole = judge.snapshot(|tx| tx.verify_audit(&kept)).unwrap();
    assert!(whole.faults.is_empty(), "{:?}", whole.faults);
    let seed = 0x9e37_79b9_7f4a_7c15;
    let mut random = Random(seed);
    for number in 0..edits {
        let edit = edit(&mut random, &all);
        database.execute(&edit.sql);
        let found = judge.snapshot(|tx| tx.verify_audit(&kept)).unwrap().faults;
        let found: Vec<_> = found
            .into_iter()
            .map(|fault| (fault.writer, fault.place, fault.what))
            .collect();
        assert_eq!(found.len(), 1, "edit {number}: {}\n{found:?}", edit.sql);
        assert!(
            edit.found_at.contains(&found[0]),
            "edit {number}: {}\n{found:?}",
            edit.sql
        );
        database.execute("DELETE FROM audit; INSERT INTO audit SELECT * FROM copy");
    }
    println!("P-17 {edits} of {edits} edits named ({backend:?}, seed {seed:#x})");
}

#[rstest]
fn p17_what_is_cut_off_everywhere_is_found_by_the_heads_kept_outside(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = prepared(backend);
    let judge = store(&database);
    let heads: Vec<Head> = judge.read(|tx| tx.latest_heads(100)).unwrap();
    let last = heads
        .iter()
        .max_by_key(|head| &head.writer)
        .unwrap()
        .writer
        .clone();
    // Whoever cuts a chain's end off and knows of the other table too leaves no trace in the database.
    database.execute(&format!(
        "DELETE FROM audit WHERE writer = '{last}' AND place > 7; \
         UPDATE audit_writers SET place = 7, head = (SELECT hash FROM audit a \
         WHERE a.writer = '{last}' AND a.place = 7) WHERE writer = '{last}'"
    ));
    let unseen = judge.snapshot(|tx| tx.verify_audit(&[])).unwrap();
    assert!(unseen.faults.is_empty(), "{:?}", unseen.faults);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heads");
    let line = json!({ "at": "2026-07-20T10:00:00.000Z", "heads": heads });
    std::fs::write(&file, format!("{line}\n")).unwrap();
    let file = file.to_str().unwrap();
    let verify = ["audit", "verify", "--json", "--checkpoint", file];
    let verified = tokenkeep(&database, &verify);
    assert_eq!(verified.code, 1, "{verified:?}");
    let expected = json!([{ "writer": last, "place": 8, "fault": "missing" }]);
    assert_eq!(verified.json()["faults"], expected);
}

#[rstest]
fn the_database_itself_refuses_to_change_or_to_remove_a_record(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    write(&store(&database), 1);
    let sql = sql(&database);
    assert!(!sql.is_accepted("UPDATE audit SET outcome = 'x'"));
    assert!(!sql.is_accepted("DELETE FROM audit"));
    if backend == Backend::Postgres {
        assert!(!sql.is_accepted("TRUNCATE audit"));
    }
    assert_eq!(sql.count("audit"), 1);
}

#[test]
fn a_service_writes_the_heads_of_the_chains_to_a_file_and_once_more_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heads");
    let database = TestDatabase::new(Backend::Sqlite);
    let variable = ("TOKENKEEP_AUDIT__CHECKPOINT_FILE", file.to_str().unwrap());
    let mut serve = crate::support::serve::Serve::start_with(&database, &[variable]);
    assert!(serve.terminate().0.success());
    let text = std::fs::read_to_string(&file).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let newest = &records(&store(&database))[0];
    assert_eq!(newest.act, "service.stop");
    assert_eq!(last["heads"][0]["hash"], json!(newest.hash));
    let verify = ["audit", "verify", "--checkpoint", file.to_str().unwrap()];
    assert_eq!(tokenkeep(&database, &verify).code, 0);
}

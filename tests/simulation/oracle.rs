//! What must hold after every step, looked at beside the service.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use serde_json::Value;
use tokenkeep::domain::{CardId, CryptogramState, Status};
use tokenkeep::store::Store;

use crate::history::{Decided, History};
use crate::sim::Sim;
use crate::support::State;

#[derive(QueryableByName)]
struct CardState {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    state: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct EventRow {
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    card_id: String,
    #[diesel(sql_type = Text)]
    data: String,
}

/// A call that is not over.
#[derive(QueryableByName, Debug, Clone, PartialEq, Eq)]
pub struct Job {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub card_id: String,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = BigInt)]
    pub fence: i64,
    #[diesel(sql_type = BigInt)]
    pub next_at: i64,
    #[diesel(sql_type = Nullable<Integer>)]
    pub number_version: Option<i32>,
    #[diesel(sql_type = Integer)]
    priority: i32,
}

const JOBS: &str = "SELECT id, kind, card_id, state, attempts, fence, next_at, number_version, priority FROM outbox";
/// Everything decided for a card after a place, in the order of decision.
const DECIDED: &str = "\
    SELECT card_order AS place, 'notification' AS kind, id, verdict, delivery_sequence AS at, NULL AS asked_for \
    FROM notifications WHERE card_id = ? AND card_order > ? \
    UNION ALL SELECT a.card_order, a.kind, a.id, a.verdict, a.as_of, o.number_version \
    FROM answers a LEFT JOIN outbox o ON o.id = a.job_id WHERE a.card_id = ? AND a.card_order > ? \
    UNION ALL SELECT card_order, 'registration', id, '', received_at, NULL \
    FROM registrations WHERE card_id = ? AND card_order > ? ORDER BY 1";

/// What was seen of a card at the last look.
#[derive(Default)]
struct Seen {
    state: String,
    history: History,
    /// The last word of its events on status, token version and cryptogram.
    told_status: Value,
    told_version: u64,
    told_cryptogram: String,
}

pub struct Oracle {
    sql: SqliteConnection,
    store: Store,
    cards: BTreeMap<String, Seen>,
    fences: BTreeMap<String, i64>,
    last_event: i64,
    /// The names of calls in the order they were first seen: their ids are random.
    names: BTreeMap<String, usize>,
}

type Check = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    match holds {
        true => Ok(()),
        false => Err(what()),
    }
}

impl Oracle {
    pub fn new(path: &Path, store: Store) -> Self {
        Self {
            sql: SqliteConnection::establish(&path.to_string_lossy()).unwrap(),
            store,
            cards: BTreeMap::new(),
            fences: BTreeMap::new(),
            last_event: 0,
            names: BTreeMap::new(),
        }
    }

    pub fn sql(&mut self) -> &mut SqliteConnection {
        &mut self.sql
    }

    fn number(&mut self, query: &str) -> i64 {
        sql_query(query)
            .get_result::<Number>(&mut self.sql)
            .unwrap()
            .n
    }

    fn texts(&mut self, query: &str) -> Vec<String> {
        let lines: Vec<Line> = sql_query(query).load(&mut self.sql).unwrap();
        lines.into_iter().map(|line| line.text).collect()
    }

    fn jobs_where(&mut self, condition: &str) -> Vec<Job> {
        let query = format!("{JOBS} WHERE {condition} ORDER BY id");
        sql_query(query).load(&mut self.sql).unwrap()
    }

    /// Calls that are not over, dead ones among them.
    pub fn open_jobs(&mut self) -> Vec<Job> {
        self.jobs_where("state IN ('waiting', 'running', 'parked', 'dead')")
    }

    pub fn job(&mut self, id: &str) -> Option<Job> {
        self.jobs_where(&format!("id = '{id}'")).pop()
    }

    pub fn card_state(&mut self, card: &str) -> String {
        let query = format!("SELECT state AS text FROM cards WHERE id = '{card}'");
        self.texts(&query).pop().unwrap_or_default()
    }

    pub fn is_kept(&mut self, delivery: &str) -> bool {
        self.number(&format!(
            "SELECT count(*) AS n FROM deliveries WHERE id = '{delivery}'"
        )) == 1
    }

    pub fn notifications(&mut self) -> Vec<String> {
        self.texts("SELECT id AS text FROM notifications ORDER BY delivery_sequence, item_index")
    }

    /// Items that a key may open.
    pub fn held(&mut self) -> Vec<String> {
        self.texts("SELECT id AS text FROM notifications WHERE hold = 'unknown-key' ORDER BY delivery_sequence, item_index")
    }

    pub fn verdicts(&mut self) -> Vec<String> {
        self.texts("SELECT verdict AS text FROM notifications")
    }

    pub fn is_busy(&mut self, card: &str) -> bool {
        self.number(&format!(
            "SELECT count(*) AS n FROM outbox WHERE card_id = '{card}' AND state = 'running'"
        )) > 0
    }

    /// Deliveries that wait, and calls that are due or under way.
    pub fn unfinished(&mut self, now: i64) -> i64 {
        self.number(&format!(
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 'waiting') \
             + (SELECT count(*) FROM outbox WHERE state IN ('waiting', 'running')) AS n, {now}"
        ))
    }

    pub fn may_charge(&self, card: &str) -> bool {
        self.cards
            .get(card)
            .is_some_and(|seen| seen.history.state().may_charge)
    }

    /// Checks everything; returns a line for the trace.
    pub fn check(&mut self, sim: &Sim) -> Result<String, String> {
        self.check_deliveries(sim)?;
        let events = self.read_events()?;
        let states: Vec<CardState> = sql_query("SELECT id, state FROM cards ORDER BY id")
            .load(&mut self.sql)
            .unwrap();
        let mut line = format!("events {events}");
        for CardState { id, state } in states {
            let is_same = self.cards.get(&id).is_some_and(|seen| seen.state == state);
            if !is_same {
                self.check_card(sim, &id, state)?;
            }
            line += &format!("; {id} {}", self.cards[&id].history.line());
        }
        line += &self.check_jobs()?;
        Ok(line)
    }

    /// Every delivery that was acknowledged is there, and once decided has its items, each once.
    fn check_deliveries(&mut self, sim: &Sim) -> Check {
        let waiting: BTreeSet<String> = self
            .texts("SELECT id AS text FROM deliveries WHERE state = 'waiting'")
            .into_iter()
            .collect();
        let there = self.number("SELECT count(*) AS n FROM deliveries");
        let recorded = self.number("SELECT count(*) AS n FROM notifications");
        let kept = sim.kept.borrow();
        let missing = || format!("{there} deliveries are there, {} were kept", kept.len());
        ensure(there == kept.len() as i64, missing)?;
        let decided = kept.iter().filter(|(id, _)| !waiting.contains(*id));
        let expected: usize = decided.map(|(_, kept)| kept.items.len()).sum();
        ensure(recorded == expected as i64, || {
            format!("{recorded} items are recorded of {expected} that were decided")
        })
    }

    /// Each change is told once and in order: what an event says was, the one before it said is.
    fn read_events(&mut self) -> Result<usize, String> {
        let query =
            "SELECT sequence, kind, card_id, data FROM events WHERE sequence > ? ORDER BY sequence";
        let rows: Vec<EventRow> = sql_query(query)
            .bind::<BigInt, _>(self.last_event)
            .load(&mut self.sql)
            .unwrap();
        let count = rows.len();
        for row in rows {
            self.last_event = row.sequence;
            let seen = self.cards.entry(row.card_id.clone()).or_default();
            let data: Value = serde_json::from_str(&row.data).unwrap();
            let told = || format!("{} of {}: {data}", row.kind, row.card_id);
            match &*row.kind {
                "card.status" => {
                    ensure(seen.told_status == data["from"], || {
                        format!("{} follows {}", told(), seen.told_status)
                    })?;
                    seen.told_status = data["to"].clone();
                }
                "card.token" => {
                    let version = data["version"].as_u64().unwrap();
                    ensure(version == seen.told_version + 1, || {
                        format!("{} follows version {}", told(), seen.told_version)
                    })?;
                    seen.told_version = version;
                }
                "card.cryptogram" => {
                    seen.told_cryptogram = data["state"].as_str().unwrap().to_owned();
                }
                _ => {}
            }
        }
        Ok(count)
    }

    fn check_card(&mut self, sim: &Sim, id: &str, state: String) -> Check {
        let card_id = CardId::parse(id).unwrap();
        let row = self.store.read(|tx| tx.card(&card_id)).unwrap();
        let card = row.ok_or("a card is gone")?.card;
        let seen = self.cards.entry(id.to_owned()).or_default();
        let place = seen.history.place();
        let mut query = sql_query(DECIDED).into_boxed();
        for _ in 0..3 {
            query = query.bind::<Text, _>(id).bind::<BigInt, _>(place);
        }
        let decided: Vec<Decided> = query.load(&mut self.sql).unwrap();
        for decided in decided {
            seen.history.add(sim, id, &decided)?;
        }
        seen.state = state;
        let was_terminal = seen.history.was_terminal(card.terminal.is_some());
        ensure(!was_terminal || card.terminal.is_some(), || {
            format!("{id} was revived")
        })?;
        sim.count("states");
        let expected = seen.history.state();
        let actual = State::of(&card);
        let actual = State {
            has_cryptogram: false,
            is_cryptogram_due: false,
            // A Checkout answer raises the suspicion as well.
            is_refresh_suspected: expected.is_refresh_suspected,
            ..actual
        };
        ensure(actual == *expected, || {
            format!("{id} is {actual:?}, but by what was decided {expected:?}")
        })?;
        let versions = (card.number_version, seen.history.number_version());
        ensure(versions.0 == versions.1, || {
            format!(
                "{id} has number version {}, should have {}",
                versions.0, versions.1
            )
        })?;
        let told = (&seen.told_status, seen.told_version);
        let is = (Value::from(card.status_word()), u64::from(card.version));
        ensure(*told.0 == is.0 && told.1 == is.1, || {
            format!("{id} is {is:?}, but its events end with {told:?}")
        })?;
        let is_stored = card.cryptogram == Some(CryptogramState::Stored);
        ensure(is_stored == (seen.told_cryptogram == "stored"), || {
            format!(
                "{id}: cryptogram {:?}, told {}",
                card.cryptogram, seen.told_cryptogram
            )
        })?;
        let kept = self
            .store
            .rehearse(|tx| tx.take_cryptogram(&card_id))
            .unwrap();
        ensure(kept.is_some() == is_stored, || {
            format!(
                "{id}: a cryptogram is kept: {}, marked: {is_stored}",
                kept.is_some()
            )
        })?;
        if let Some(kept) = kept {
            let number = card.token.as_ref().map(|token| token.number.expose());
            let made_for = sim.cryptogram(kept.value.expose());
            ensure(
                made_for.is_some_and(|made| Some(&*made.number) == number && made.card == id),
                || format!("{id} keeps a cryptogram of another number or card"),
            )?;
            let status = card.status.as_ref().map(|status| status.value);
            let is_usable = status != Some(Status::Suspended) && card.terminal.is_none();
            ensure(is_usable, || {
                format!("{id} keeps a cryptogram, but is suspended or has ended")
            })?;
        }
        match card.terminal {
            Some(_) => self.check_ended(id),
            None => Ok(()),
        }
    }

    /// No number of an ended card is kept anywhere.
    fn check_ended(&mut self, id: &str) -> Check {
        let kept = self.number(&format!(
            "SELECT (SELECT count(*) FROM tokens WHERE card_id = '{id}') \
             + (SELECT count(*) FROM notifications WHERE card_id = '{id}' AND payment IS NOT NULL) \
             + (SELECT count(*) FROM answers WHERE card_id = '{id}' AND payment IS NOT NULL) \
             + (SELECT count(*) FROM registrations WHERE card_id = '{id}' AND payment IS NOT NULL) AS n"
        ));
        ensure(kept == 0, || {
            format!("{id} has ended, {kept} numbers of it are kept")
        })
    }

    /// One call of a kind (and number version) is open, one of a card runs, fences only rise.
    fn check_jobs(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let (mut open, mut running) = (BTreeSet::new(), BTreeSet::new());
        for job in self.open_jobs() {
            let count = self.names.len();
            let name = *self.names.entry(job.id.clone()).or_insert(count);
            let Job {
                kind,
                card_id,
                state,
                attempts,
                fence,
                next_at,
                ..
            } = &job;
            line += &format!("; {name} {kind} {card_id} {state} {attempts} {fence} {next_at}");
            let before = self.fences.insert(job.id.clone(), *fence);
            ensure(before.is_none_or(|before| before <= *fence), || {
                format!("a fence of {card_id} went back to {fence}")
            })?;
            if state == "running" {
                ensure(running.insert(card_id.clone()), || {
                    format!("two calls of {card_id} run")
                })?;
            }
            let is_of_queue = kind != "credentials" && state != "dead";
            if is_of_queue {
                let key = (card_id.clone(), kind.clone(), job.number_version);
                ensure(open.insert(key), || {
                    format!("two calls {kind} of {card_id} are open")
                })?;
                let has_ended = self
                    .cards
                    .get(card_id)
                    .is_some_and(|seen| seen.history.state().is_terminal);
                // What an operator wants is made once more all the same.
                let is_wanted = job.priority < 0;
                let may_be = !has_ended || is_wanted || state == "running" || kind == "delete_card";
                ensure(may_be, || {
                    format!("{kind} of {card_id} is {state}, but the card has ended")
                })?;
            }
        }
        Ok(line)
    }

    /// Once nothing is left to do.
    pub fn check_end(&mut self) -> Check {
        for (id, seen) in &self.cards {
            let card_id = CardId::parse(id).unwrap();
            let Some(row) = self.store.read(|tx| tx.card(&card_id)).unwrap() else {
                continue;
            };
            let jobs = self.store.read(|tx| tx.jobs_of_card(&card_id)).unwrap();
            let is_open = |kind: &str| {
                jobs.iter()
                    .any(|job| job.kind == kind && job.state == "parked")
            };
            ensure(
                !row.card.cryptogram_is_due() || is_open("cryptogram"),
                || format!("{id}: a cryptogram is due, but nobody asks for it"),
            )?;
            let status = seen.history.state().status;
            ensure(
                status != Some("DELETE_PENDING") || is_open("delete_card"),
                || format!("{id} is being deleted, but nobody asks for it"),
            )?;
        }
        let audit = self.store.snapshot(|tx| tx.verify_audit(&[])).unwrap();
        ensure(audit.faults.is_empty(), || {
            format!("the audit has faults: {:?}", audit.faults)
        })?;
        let integrity = self.texts("SELECT integrity_check AS text FROM pragma_integrity_check");
        ensure(integrity == ["ok"], || format!("{integrity:?}"))
    }
}

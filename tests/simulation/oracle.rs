//! What must hold after every step, looked at beside the service.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, RunQueryDsl, SqliteConnection, sql_query};
use serde_json::Value;
use tokenkeep::domain::{Card, CardId, CryptogramState, Status};
use tokenkeep::store::Store;

use crate::calls::Made;
use crate::history::{Decided, History};
use crate::sim::Sim;
use crate::support::State;
use crate::tables::{CardState, EventRow};

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
pub struct Seen {
    state: String,
    pub history: History,
    /// The last word of its events on status, token version and cryptogram.
    told_status: Value,
    told_version: u64,
    told_cryptogram: String,
}

impl Seen {
    /// The card is as the model has it after everything that was decided.
    fn check_state(&self, card: &Card) -> Check {
        let expected = self.history.state();
        let actual = State::of(card);
        let actual = State {
            has_cryptogram: false,
            is_cryptogram_due: false,
            // An answer of Checkout raises the suspicion as well.
            is_refresh_suspected: match card.token_doubted {
                Some(_) => expected.is_refresh_suspected,
                None => actual.is_refresh_suspected,
            },
            ..actual
        };
        let id = &card.id;
        ensure(actual == *expected, || {
            format!("{id} is {actual:?}, but by what was decided {expected:?}")
        })?;
        let (is, should) = (card.number_version, self.history.number_version());
        ensure(is == should, || {
            format!("{id} has number version {is}, should have {should}")
        })
    }

    /// The last word of its events is what it is.
    fn check_events(&self, card: &Card) -> Check {
        let told = (self.told_status.as_str(), self.told_version);
        let is = (card.status_word(), u64::from(card.version));
        ensure(told == is, || {
            format!("{} is {is:?}, but its events end with {told:?}", card.id)
        })?;
        let is_stored = card.cryptogram == Some(CryptogramState::Stored);
        let told = &self.told_cryptogram;
        ensure(is_stored == (told == "stored"), || {
            format!(
                "{}: a cryptogram is kept: {is_stored}, told: {told}",
                card.id
            )
        })
    }
}

pub struct Oracle {
    pub sql: SqliteConnection,
    store: Store,
    pub cards: BTreeMap<String, Seen>,
    pub fences: BTreeMap<String, i64>,
    last_event: i64,
    /// The names of calls in the order they were first seen: their ids are random.
    pub names: BTreeMap<String, usize>,
}

pub type Check = Result<(), String>;

pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
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
        line += &self.check_calls()?;
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
        seen.check_state(&card)?;
        seen.check_events(&card)?;
        self.check_cryptogram(sim, &card)?;
        match card.terminal {
            Some(_) => self.check_ended(id),
            None => Ok(()),
        }
    }

    /// A kept cryptogram is of the card and its number, and the card is neither suspended nor ended.
    fn check_cryptogram(&self, sim: &Sim, card: &Card) -> Check {
        let id = &card.id;
        let is_marked = card.cryptogram == Some(CryptogramState::Stored);
        let kept = self.store.rehearse(|tx| tx.take_cryptogram(id)).unwrap();
        ensure(kept.is_some() == is_marked, || {
            let is_kept = kept.is_some();
            format!("{id}: a cryptogram is kept: {is_kept}, marked: {is_marked}")
        })?;
        let Some(kept) = kept else { return Ok(()) };
        let number = card.token.as_ref().map(|token| token.number.expose());
        let is_its_own = |made: Made| Some(&*made.number) == number && made.card == id.as_str();
        let made_for = sim.cryptogram(kept.value.expose());
        ensure(made_for.is_some_and(is_its_own), || {
            format!("{id} keeps a cryptogram of another number or card")
        })?;
        let status = card.status.as_ref().map(|status| status.value);
        let is_usable = status != Some(Status::Suspended) && card.terminal.is_none();
        ensure(is_usable, || {
            format!("{id} keeps a cryptogram, but is suspended or has ended")
        })
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

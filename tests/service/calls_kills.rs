//! O-03: killed after the other side has acted on a call and before we have written what it answered.
//! Every call is done after the restart, with at most one more attempt, and leaves one result.

use std::sync::Arc;

use rstest::rstest;
use serde_json::json;
use tokenkeep::dispatcher::{Deletion, DeletionRequest, request_deletion};
use tokenkeep::domain::CardId;
use tokenkeep::jose::StorageKeys;
use tokenkeep::sandbox::{NewCard, Operation, Refresh, Sandbox};
use tokenkeep::settings::Settings;
use tokenkeep::store::{DatabaseUrl, JobView, Store};
use tokenkeep::telemetry::Clock;

use crate::support::calls::{SERVICE, program, sandbox, serve};
use crate::support::rebuilt::assert_rebuilt;
use crate::support::serve::Serve;
use crate::support::{Backend, Client, TestDatabase, is_full, keys, wait_until};

/// One kill each.
fn rounds() -> usize {
    if is_full() { 100 } else { 20 }
}

const CARDS: usize = 4;
/// Of the cards of the round before, so many are deleted.
const DELETIONS: usize = 2;

struct Killing {
    database: TestDatabase,
    sandbox: Sandbox,
    store: Store,
    settings: Settings,
    serve: Serve,
    client: Client,
}

#[derive(Debug, Default)]
struct Tally {
    calls: usize,
    made_twice: usize,
}

impl Killing {
    fn new(backend: Backend) -> Self {
        let database = TestDatabase::new(backend);
        let sandbox = sandbox(Clock::system(), |_| {});
        let storage = Arc::new(StorageKeys::load(&keys()).unwrap());
        let url = DatabaseUrl::parse(&database.url()).unwrap();
        let mut settings = Settings::defaults().unwrap();
        let shop = program(&sandbox.base_url(), SERVICE, &json!({}));
        settings.programs.insert("shop".to_owned(), shop);
        Self {
            serve: serve(&database, &sandbox, ""),
            store: Store::open(&url, storage).unwrap(),
            database,
            sandbox,
            settings,
            client: Client::new(),
        }
    }

    /// Cryptograms are asked for and cards deleted; the process dies when all of it has been acted on
    /// at the other side.
    fn round(&mut self, round: usize, tally: &mut Tally) {
        let cards: Vec<String> = (0..CARDS).map(|card| format!("{round}-{card}")).collect();
        let before = round.checked_sub(1);
        let deleted: Vec<String> = before.map_or_else(Vec::new, |before| {
            (0..DELETIONS)
                .map(|card| format!("{before}-{card}"))
                .collect()
        });
        self.sandbox.hold(Operation::Checkout);
        self.sandbox.hold(Operation::DeleteCard);
        cards.iter().for_each(|card| self.refresh(card));
        deleted.iter().for_each(|card| self.delete(card));
        wait_until("all of it has reached the other side", || {
            cards
                .iter()
                .all(|card| self.count(Operation::Checkout, card) == 1)
                && deleted
                    .iter()
                    .all(|card| self.count(Operation::DeleteCard, card) == 1)
        });
        self.kill(round);
        wait_until("all calls are over", || {
            let open =
                "SELECT count(*) AS number FROM outbox WHERE state IN ('waiting', 'running')";
            self.database.number(open) == 0
        });
        for card in &cards {
            self.judge_cryptogram(card, tally);
        }
        for card in &deleted {
            self.judge_deletion(card, tally);
        }
    }

    /// Half of the times no answer comes any more, half of the times the kill meets it.
    fn kill(&mut self, round: usize) {
        if round % 2 == 1 {
            self.sandbox.release();
            std::thread::sleep(std::time::Duration::from_millis(round as u64 * 7 % 53));
        }
        self.serve.kill();
        self.sandbox.release();
        // Stands for the minute after which the claims of the dead process end.
        self.database
            .execute("UPDATE outbox SET lease_until = 0 WHERE state = 'running'");
        self.serve = serve(&self.database, &self.sandbox, "");
    }

    fn refresh(&self, card: &str) {
        let id = Some(card.to_owned());
        let new = NewCard {
            id,
            ..NewCard::default()
        };
        self.sandbox.create_card(new).unwrap();
        let body = self.sandbox.refresh(card, Refresh::Nothing).unwrap();
        let answer = self.client.post(&self.serve.url, &body.to_string());
        assert_eq!(answer.status, 204);
    }

    fn delete(&self, card: &str) {
        let request = DeletionRequest {
            card_id: CardId::parse(card).unwrap(),
            program: None,
            reason: None,
            requestor: None,
        };
        let now = Clock::system().now();
        let asked = request_deletion(&self.store, &self.settings.policy(), &request, now);
        assert!(matches!(asked.unwrap(), Deletion::Asked(_)));
    }

    fn count(&self, operation: Operation, card: &str) -> usize {
        self.sandbox.count(operation, Some(card))
    }

    /// The one call of a kind for a card.
    fn job(&self, card: &str, kind: &str) -> JobView {
        let id = CardId::parse(card).unwrap();
        let jobs = self.store.read(|tx| tx.jobs_of_card(&id)).unwrap();
        let mut of_kind: Vec<JobView> = jobs.into_iter().filter(|job| job.kind == kind).collect();
        assert_eq!(of_kind.len(), 1, "{card}: {of_kind:?}");
        of_kind.remove(0)
    }

    fn judge_cryptogram(&self, card: &str, tally: &mut Tally) {
        let id = CardId::parse(card).unwrap();
        let job = self.job(card, "cryptogram");
        assert_eq!(job.state, "done", "{job:?}");
        let kept = self.store.rehearse(|tx| tx.take_cryptogram(&id)).unwrap();
        let issued = self.sandbox.issued(card);
        let last = issued.last().unwrap();
        assert!(
            kept.unwrap().value == last.cryptogram,
            "{card}: the last one"
        );
        self.judge_attempts(card, Operation::Checkout, tally);
    }

    fn judge_deletion(&self, card: &str, tally: &mut Tally) {
        let id = CardId::parse(card).unwrap();
        let job = self.job(card, "delete_card");
        assert_eq!(job.state, "done", "{job:?}");
        let row = self.store.read(|tx| tx.card(&id)).unwrap().unwrap();
        assert_eq!(row.card.status_word(), Some("CANCELLED"), "{card}");
        assert!(self.sandbox.card(card).is_none(), "{card} is deleted there");
        self.judge_attempts(card, Operation::DeleteCard, tally);
    }

    fn judge_attempts(&self, card: &str, operation: Operation, tally: &mut Tally) {
        let count = self.count(operation, card);
        assert!((1..=2).contains(&count), "{card}: {count} calls");
        tally.calls += 1;
        tally.made_twice += count - 1;
    }
}

#[rstest]
fn o03_killed_after_the_answer_and_before_our_commit_every_call_is_done_once_after_the_restart(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let rounds = rounds();
    let mut killing = Killing::new(backend);
    let mut tally = Tally::default();
    for round in 0..rounds {
        killing.round(round, &mut tally);
    }
    // In every other round no answer came: all of its calls were made twice.
    assert!(tally.made_twice >= rounds / 2 * CARDS, "{tally:?}");
    assert_rebuilt(&killing.store, killing.settings.policy());
    println!("O-03 on {backend:?}: {rounds} kills, {tally:?}, each with one result");
}

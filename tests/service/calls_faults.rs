//! O-06: every fault of the other side ends each kind of call in its class and in time, leaves no wrong
//! cryptogram, and heals when the other side does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::Value;
use tokenkeep::api::access::AccessRole;
use tokenkeep::sandbox::Operation;
use tokenkeep::settings::ProgramSettings;
use tokenkeep::store::JobView;

use crate::calls_fault_cells::{Cell, LONGEST};
use crate::calls_fault_table::{Expected, RETRY_AFTER, rows};
use crate::support::calls::{HOUR, LONGEST_WAIT, MINUTE, Shop, assert_pair};
use crate::support::{App, Backend, START, wait_until};

/// Everything goes on at once on a small machine.
const PATIENCE: Duration = Duration::from_secs(LONGEST + 10);

/// All rows for one operation.
struct Matrix {
    app: App,
    cells: Vec<Cell>,
    clock: Arc<AtomicI64>,
    operation: Operation,
}

impl Matrix {
    fn new(backend: Backend, operation: Operation) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        // Together: to start fifty other sides takes a while.
        let made = std::thread::scope(|scope| {
            let making = rows().into_iter().enumerate().map(|(number, row)| {
                let clock = &clock;
                scope.spawn(move || Cell::new(number, row, operation, clock))
            });
            let making = Vec::from_iter(making);
            Vec::from_iter(making.into_iter().map(|cell| cell.join().unwrap()))
        });
        let named =
            |(cell, program): (Cell, ProgramSettings)| ((cell.program.clone(), program), cell);
        let (programs, cells): (Vec<_>, Vec<_>) = made.into_iter().map(named).unzip();
        let app = App::spawn_with(backend, |settings| settings.programs.extend(programs));
        Self {
            app,
            cells,
            clock,
            operation,
        }
    }

    fn advance(&self, milliseconds: i64) {
        self.clock.fetch_add(milliseconds, Ordering::SeqCst);
        self.app.advance(milliseconds);
    }

    /// Makes all cards known here, and the calls of the operation due, with the faults in place.
    fn begin(&self) {
        let told = |card: fn(&Cell) -> String| {
            let bodies: Vec<Value> = self
                .cells
                .iter()
                .map(|c| c.notification(&card(c)))
                .collect();
            Shop::together(&bodies)
        };
        let first = told(|cell| cell.card.clone());
        if self.operation == Operation::Checkout {
            // An answer before the spoiled one, of another card: it may be sent once more.
            self.app
                .deliver(&told(|cell| format!("{}-before", cell.card)));
            wait_until("an answer before", || {
                self.cells.iter().all(Cell::has_answered)
            });
        }
        self.cells
            .iter()
            .for_each(|cell| cell.spoil(self.operation));
        if matches!(self.operation, Operation::Checkout | Operation::DeleteCard) {
            self.app.deliver(&first);
        }
        for cell in &self.cells {
            let registration = cell.registration(self.operation);
            let path = format!("/v1/cards/{}", cell.card);
            assert!(self.app.put(&path, &registration).status < 300);
        }
        match self.operation {
            Operation::DeleteCard => self.send_all("DELETE", "", ""),
            Operation::SetTokenStatus => {
                self.send_all("PUT", "/token-status", r#"{"tokenStatus":"SUSPEND"}"#);
            }
            Operation::GetCard => self.advance(MINUTE),
            _ => {}
        }
    }

    fn send_all(&self, method: &str, below: &str, body: &str) {
        let key = self.app.new_key(AccessRole::App, "sending");
        for cell in &self.cells {
            let path = format!("/v1/cards/{}{below}", cell.card);
            assert_eq!(self.app.send(method, &path, &key, body).status, 202);
        }
    }

    fn kind(&self) -> &'static str {
        match self.operation {
            Operation::Checkout => "cryptogram",
            Operation::DeleteCard => "delete_card",
            Operation::SetTokenStatus => "token_status",
            _ => "get_card",
        }
    }

    fn job(&self, cell: &Cell) -> Option<JobView> {
        let mut jobs = self.app.jobs(&cell.card).into_iter().rev();
        jobs.find(|job| job.kind == self.kind())
    }

    fn has_been_attempted(&self, cell: &Cell) -> bool {
        let job = self.job(cell);
        job.is_some_and(|job| job.attempts > 0 && job.state != "running")
    }

    /// Waits for the first attempt of every cell, no longer than an attempt may take.
    fn first_attempts(&self) {
        let begun = Instant::now();
        for cell in &self.cells {
            while !self.has_been_attempted(cell) {
                let name = cell.row.name;
                assert!(begun.elapsed() < PATIENCE, "{name}: {:?}", self.job(cell));
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Returns whether the call still has to be made.
    fn judge(&self, cell: &Cell) -> bool {
        let job = self.job(cell).unwrap();
        let expected = cell.row.end(self.operation);
        let name = cell.row.name;
        let reason = job.last_reason.as_deref().unwrap_or_default();
        let said = (job.state.as_str(), job.last_status);
        let now = self.app.clock.load(Ordering::SeqCst);
        match expected {
            Expected::Retry(status, reasons) => {
                assert_eq!(said, ("waiting", status), "{name}: {reason}");
                assert!(reasons.split('|').any(|r| r == reason), "{name}: {reason}");
                assert!(
                    job.next_at <= now + HOUR,
                    "{name}: never later than in an hour"
                );
                let asked = RETRY_AFTER.iter().find(|(of, ..)| *of == name);
                let least = asked.map_or(0, |(.., seconds)| seconds * 1_000);
                assert!(
                    job.next_at >= START + least,
                    "{name}: {}",
                    job.next_at - now
                );
            }
            Expected::Denied(status, words) => {
                assert_eq!(said, ("waiting", Some(status)), "{name}: {reason}");
                assert_eq!(reason, words, "{name}");
                assert_eq!(job.next_at, now + 5 * MINUTE, "{name}");
            }
            Expected::Parked(status, words) => {
                assert_eq!(said, ("parked", Some(status)), "{name}: {reason}");
                assert_eq!(reason, words, "{name}");
            }
            Expected::Done => assert_eq!(said.0, "done", "{name}: {reason}"),
        }
        if self.operation == Operation::Checkout {
            // Mastercard is asked what it is that it does not accept.
            let jobs = self.app.jobs(&cell.card);
            let asks = matches!(expected, Expected::Parked(400 | 404, _));
            assert_eq!(
                jobs.iter().any(|job| job.kind == "get_card"),
                asks,
                "{name}"
            );
        }
        if let (Operation::Checkout, Some(sandbox)) = (self.operation, &cell.sandbox) {
            let is_kept = assert_pair(&self.app, sandbox, &cell.card);
            assert_eq!(is_kept, expected == Expected::Done, "{name}");
        }
        expected != Expected::Done
    }

    /// The other sides that can, work again; operators let go what is parked or held back.
    fn heal(&mut self) -> usize {
        for cell in &mut self.cells {
            cell.heal(&self.clock);
        }
        self.advance(HOUR + LONGEST_WAIT);
        let healing: Vec<&Cell> = (self.cells.iter())
            .filter(|cell| cell.sandbox.is_some() && self.job(cell).unwrap().state != "done")
            .collect();
        for cell in &healing {
            let job = self.job(cell).unwrap();
            let is_denied = matches!(job.last_status, Some(401 | 403));
            if job.state == "parked" || is_denied {
                let now = self.app.clock.load(Ordering::SeqCst);
                let retried = self.app.store().write(|tx| tx.retry_job(&job.id, now));
                assert!(retried.unwrap(), "{}", cell.row.name);
            }
        }
        for cell in &healing {
            // On a busy machine one more attempt may take too long; the next one waits for the clock.
            let mut looks = 0;
            wait_until(cell.row.name, || {
                looks += 1;
                let job = self.job(cell).unwrap();
                if looks % 100 == 0 && job.state == "waiting" {
                    self.advance(LONGEST_WAIT);
                }
                job.state == "done"
            });
        }
        healing.len()
    }

    fn judge_healed(&self) {
        for cell in self.cells.iter().filter(|cell| cell.sandbox.is_some()) {
            let (sandbox, name) = (cell.sandbox.as_ref().unwrap(), cell.row.name);
            let card = self.app.card(&cell.card).unwrap().card;
            match self.operation {
                Operation::Checkout => {
                    assert!(assert_pair(&self.app, sandbox, &cell.card), "{name}");
                }
                Operation::DeleteCard => {
                    assert_eq!(card.status_word(), Some("CANCELLED"), "{name}");
                }
                Operation::SetTokenStatus => {
                    // Who says so without having done it is believed.
                    let there = if name == "204" { "Active" } else { "Suspended" };
                    let status = sandbox.token_status(&cell.token());
                    assert_eq!(status.as_deref(), Some(there), "{name}");
                    let known = card.tokens[0].status().map(|status| status.word());
                    assert_eq!(known, Some("SUSPENDED"), "{name}");
                }
                _ => {
                    let was_found = card.not_there_since.is_none();
                    assert_eq!(was_found, !["404", "410"].contains(&name), "{name}");
                    assert_eq!(card.status_word() == Some("ACTIVE"), was_found, "{name}");
                }
            }
        }
    }
}

#[rstest]
#[case::checkout(Operation::Checkout)]
#[case::delete_card(Operation::DeleteCard)]
#[case::get_card(Operation::GetCard)]
#[case::token_status(Operation::SetTokenStatus)]
fn o06_every_fault_ends_in_its_class_and_heals(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] operation: Operation,
) {
    let mut matrix = Matrix::new(backend, operation);
    matrix.begin();
    matrix.first_attempts();
    let cells = &matrix.cells;
    let failed = cells.iter().filter(|cell| matrix.judge(cell)).count();
    let healed = matrix.heal();
    matrix.judge_healed();
    let count = matrix.cells.len();
    // And to stop them.
    std::thread::scope(|scope| {
        for cell in matrix.cells.drain(..) {
            scope.spawn(|| drop(cell));
        }
    });
    println!(
        "O-06 {operation:?} on {backend:?}: {count} of {count} faults in their class, {failed} failed, {healed} healed"
    );
}

//! The matrix of token commands: where the tokens live × command × what is known and waits × what the
//! other side answers. In each cell: the HTTP answer, the call, the local state, and how it heals.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;
use tokenkeep::domain::TokenCommand::Deactivate;
use tokenkeep::sandbox::{CardStatus, NewCard, Sandbox};
use tokenkeep::settings::{ProgramSettings, Role};
use tokenkeep::store::JobView;

use crate::support::calls::{HOUR, LONGEST_WAIT, clock_of, program, sandbox};
use crate::support::raw::Reply;
use crate::support::{App, Backend, START, wait_until};
use crate::token_status_cells::{
    ANSWERS, Before, Cell, End, REACHES, Reach, Said, cells, fault, operation,
};

const CUSTOMER: &str = "customer-1";
const CLIENT: &str = "40000";
const SERVICE: &str = "SERVICE#1";
/// Seconds of an attempt to which nothing is answered.
const SHORT: u64 = 4;

struct Matrix {
    app: App,
    clock: Arc<AtomicI64>,
    key: String,
    cells: Vec<Cell>,
    /// One for each answer.
    sandboxes: Vec<Sandbox>,
}

impl Matrix {
    fn new(backend: Backend) -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let start = |_| sandbox(clock_of(&clock), |s| s.service_id = SERVICE.to_owned());
        let sandboxes: Vec<Sandbox> = ANSWERS.iter().map(start).collect();
        let cells = cells();
        let app = App::spawn_with(backend, |settings| {
            for cell in &cells {
                let sandbox = &sandboxes[place(cell.said)];
                let settled = settings.programs.entry(cell.program());
                settled.or_insert_with(|| program_of(cell, sandbox));
            }
        });
        let key = app.new_key(AccessRole::App, "matrix");
        Self {
            app,
            clock,
            key,
            cells,
            sandboxes,
        }
    }

    fn sandbox(&self, cell: &Cell) -> &Sandbox {
        &self.sandboxes[place(cell.said)]
    }

    fn put(&self, cell: &Cell, below: &str, body: &Value) -> Reply {
        let path = format!("/v1/cards/{}{below}", cell.card);
        self.app.send("PUT", &path, &self.key, &body.to_string())
    }

    /// The cards there, in the status that the cell begins with.
    fn create(&self, cell: &Cell) {
        let sandbox = self.sandbox(cell);
        // A contract is ended by a command for all of it.
        let status = match (cell.reach, cell.before) {
            (Reach::All, Before::Deleted) => "ACTIVE",
            _ => cell.there(),
        };
        for token in &cell.tokens {
            if cell.reach == Reach::Bank {
                sandbox.add_bank_token(token, CUSTOMER);
                sandbox.set_bank_token(token, status);
            } else {
                sandbox.add_token(&cell.card, CLIENT, token);
                let is_other = cell.reach == Reach::One && *token != cell.tokens[0];
                sandbox.set_token_status(token, if is_other { "Active" } else { titled(status) });
            }
        }
        if cell.reach == Reach::Checkout {
            let id = Some(cell.card.clone());
            let service_id = Some(SERVICE.to_owned());
            let new = NewCard {
                id,
                service_id,
                ..NewCard::default()
            };
            sandbox.create_card(new).unwrap();
            if status == "SUSPENDED" {
                sandbox
                    .set_status(&cell.card, CardStatus::Suspended)
                    .unwrap();
            }
        }
    }

    /// Makes the cards known here, with the status that is read there.
    fn register(&self, is_read: bool) {
        let chosen: Vec<&Cell> = (self.cells.iter())
            .filter(|cell| (cell.before != Before::Unknown) == is_read)
            .collect();
        for cell in &chosen {
            self.create(cell);
            let reply = self.put(cell, "", &cell.registration());
            assert_eq!(reply.status, 201, "{cell:?}: {}", reply.body);
        }
        if !is_read {
            self.forget_reads(&chosen);
            return;
        }
        self.app.advance(60_000);
        self.clock.fetch_add(60_000, Ordering::SeqCst);
        for cell in &chosen {
            wait_until(&format!("{cell:?} is read"), || {
                self.is_over(cell, "read_tokens") && self.is_over(cell, "get_card")
            });
        }
        let ended = chosen
            .iter()
            .filter(|cell| cell.has_ended() && cell.reach != Reach::Bank);
        for cell in ended.clone() {
            let body = json!({ "tokenStatus": "DEACTIVATE" });
            let reply = self.put(cell, "/token-status", &body);
            assert_eq!(reply.status, 202, "{cell:?}: {}", reply.body);
        }
        for cell in ended {
            wait_until("its end is confirmed", || {
                let known = self.known(cell);
                ["DELETED", "CANCELLED"].contains(&known.as_deref().unwrap_or_default())
            });
        }
    }

    /// What is never read stays unknown.
    fn forget_reads(&self, cells: &[&Cell]) {
        for cell in cells {
            for job in self.app.jobs(&cell.card) {
                let discarded = self
                    .app
                    .store()
                    .write(|tx| tx.discard_job(&job.id, "for the test", START));
                assert!(discarded.unwrap());
            }
        }
    }

    fn is_over(&self, cell: &Cell, kind: &str) -> bool {
        let mut jobs = self.app.jobs(&cell.card).into_iter();
        !jobs.any(|job| job.kind == kind && !["done", "discarded"].contains(&&*job.state))
    }

    /// The call that carries the command of a cell.
    fn job(&self, cell: &Cell) -> Option<JobView> {
        let jobs = self.app.jobs(&cell.card).into_iter().rev();
        let is_command = |job: &JobView| job.kind == "token_status" || job.kind == "delete_card";
        jobs.filter(is_command).find(|job| job.state != "discarded")
    }

    fn restart(&mut self, dispatches: bool) {
        self.app.stop();
        self.app
            .settings
            .roles
            .retain(|role| *role != Role::Dispatch);
        if dispatches {
            self.app.settings.roles.push(Role::Dispatch);
        }
        self.app.start();
    }

    fn give(&self, cell: &Cell) {
        let first = cell.waiting().map(|waiting| {
            let reply = self.put(cell, "/token-status", &cell.body(waiting));
            let is_offered = cell.reach != Reach::Checkout || waiting == Deactivate;
            assert_eq!(reply.status == 202, is_offered, "{cell:?}: {}", reply.body);
            reply
        });
        let reply = self.put(cell, "/token-status", &cell.body(cell.command));
        let (status, word) = cell.answered();
        assert_eq!(reply.status, status, "{cell:?}: {}", reply.body);
        let body = reply.json();
        let said = if status < 300 {
            &body["outcome"]
        } else {
            &body["code"]
        };
        assert_eq!(said, word, "{cell:?}");
        let job = body["job"]["id"].as_str();
        if status < 300 {
            let link = job.map(|job| format!("/v1/outbox/{job}"));
            assert_eq!(body["link"].as_str(), link.as_deref(), "{cell:?}");
        }
        if let Some(link) = body["link"].as_str() {
            assert_eq!(self.app.send("GET", link, &self.key, "").status, 200);
        }
        if let (Some(first), 200, Some(waiting)) = (first, status, cell.waiting())
            && waiting == cell.command
        {
            assert_eq!(
                first.json()["job"]["id"].as_str(),
                job,
                "{cell:?}: the one that waits"
            );
        }
        let open = self.job(cell);
        assert_eq!(
            open.is_some() && cell.before != Before::Deleted,
            cell.sent().is_some(),
            "{cell:?}"
        );
    }

    /// The status that is known of the token here.
    fn known(&self, cell: &Cell) -> Option<String> {
        let card = self.app.card(&cell.card).unwrap().card;
        if let Some(terminal) = card.terminal {
            return Some(terminal.state.word().to_owned());
        }
        let token = card.tokens.first();
        match token {
            Some(token) => token.status().map(|status| status.word().to_owned()),
            None => card.status_word().map(str::to_owned),
        }
    }

    /// What is known after the first attempt.
    fn expected(&self, cell: &Cell) -> Option<&'static str> {
        let is_unknown = cell.before == Before::Unknown;
        match (cell.sent(), cell.end()) {
            (Some(_), _) if cell.reach == Reach::Checkout => match cell.end() {
                End::Done => Some("CANCELLED"),
                _ => Some("DELETE_PENDING"),
            },
            (Some(command), End::Done) => Some(target(command)),
            // What is refused is asked about, and then known.
            (Some(_), End::Parked(..)) => Some(cell.there()),
            (Some(_), End::Retry(..)) => (!is_unknown).then(|| cell.there()),
            (None, _) if cell.before == Before::Deleted => match cell.reach {
                Reach::Checkout => Some("CANCELLED"),
                _ => Some("DELETED"),
            },
            (None, _) => (!is_unknown).then(|| cell.there()),
        }
    }

    fn judge(&self, cell: &Cell) {
        let Some(_) = cell.sent() else {
            assert_eq!(self.known(cell).as_deref(), self.expected(cell), "{cell:?}");
            return;
        };
        wait_until(&format!("{cell:?} is attempted and asked about"), || {
            let job = self.job(cell).unwrap();
            let is_asked = job.state != "parked" || self.is_over(cell, "read_tokens");
            job.attempts > 0 && job.state != "running" && is_asked
        });
        let job = self.job(cell).unwrap();
        let reason = job.last_reason.as_deref().unwrap_or_default();
        let said = (job.state.as_str(), job.last_status, reason);
        match cell.end() {
            End::Done => assert_eq!(said.0, "done", "{cell:?}: {reason}"),
            End::Retry(status, words) => assert_eq!(said, ("waiting", status, words), "{cell:?}"),
            End::Parked(status, words) => {
                assert_eq!(said, ("parked", Some(status), words), "{cell:?}");
            }
        }
        assert_eq!(self.known(cell).as_deref(), self.expected(cell), "{cell:?}");
    }

    /// The other sides work again; operators let go what is parked.
    fn heal(&self) -> usize {
        for (sandbox, said) in self.sandboxes.iter().zip(ANSWERS) {
            for reach in REACHES
                .into_iter()
                .filter(|reach| fault(*reach, said).is_some())
            {
                sandbox.set_fault(operation(reach), None);
            }
        }
        self.app.advance(HOUR + LONGEST_WAIT);
        self.clock.fetch_add(HOUR + LONGEST_WAIT, Ordering::SeqCst);
        let sent = |cell: &&Cell| cell.sent().is_some() && cell.end() != End::Done;
        let healing: Vec<&Cell> = self.cells.iter().filter(sent).collect();
        for cell in &healing {
            let job = self.job(cell).unwrap();
            if job.state == "parked" {
                let now = self.app.clock.load(Ordering::SeqCst);
                assert!(
                    self.app
                        .store()
                        .write(|tx| tx.retry_job(&job.id, now))
                        .unwrap()
                );
            }
        }
        for cell in &healing {
            wait_until(&format!("{cell:?} heals"), || {
                self.job(cell).unwrap().state == "done"
            });
            let command = cell.sent().unwrap();
            let expected = match cell.reach {
                Reach::Checkout => "CANCELLED",
                _ => target(command),
            };
            assert_eq!(self.known(cell).as_deref(), Some(expected), "{cell:?}");
        }
        healing.len()
    }

    /// What is known here is what is true there.
    fn agree(&self) {
        for cell in self
            .cells
            .iter()
            .filter(|cell| cell.before != Before::Unknown)
        {
            let sandbox = self.sandbox(cell);
            let Some(token) = cell.tokens.first() else {
                continue;
            };
            let there = match cell.reach {
                Reach::Bank => sandbox.bank_token(token),
                _ => sandbox.token_status(token),
            };
            let there = there
                .unwrap()
                .to_uppercase()
                .replace("DEACTIVATED", "DELETED");
            assert_eq!(self.known(cell).as_deref(), Some(&*there), "{cell:?}");
        }
    }
}

fn place(said: Said) -> usize {
    ANSWERS.iter().position(|known| *known == said).unwrap()
}

fn target(command: tokenkeep::domain::TokenCommand) -> &'static str {
    match command.word() {
        "SUSPEND" => "SUSPENDED",
        "RESUME" => "ACTIVE",
        _ => "DELETED",
    }
}

/// As Processing Digital writes it.
fn titled(status: &str) -> &'static str {
    match status {
        "ACTIVE" => "Active",
        "SUSPENDED" => "Suspended",
        _ => "Deactivated",
    }
}

fn program_of(cell: &Cell, sandbox: &Sandbox) -> ProgramSettings {
    let timeout = if cell.said == Said::Nothing {
        SHORT
    } else {
        20
    };
    let program_settings = match cell.reach {
        Reach::Checkout => {
            return program(&sandbox.base_url(), SERVICE, &json!({ "timeout": timeout }));
        }
        Reach::One | Reach::All => json!({
            "kind": "mastercard-processing",
            "base_url": sandbox.processing_url(),
            "consumer_key": "demo-consumer",
            "signing_key": "signing/demo-signing.pem",
            "encryption_key": "encryption/sandbox.pem",
            "timeout": timeout,
        }),
        Reach::Bank => json!({
            "kind": "alliance",
            "base_url": sandbox.alliance_url(),
            "kid": "6f1f1f9e-0f0b-4d57-9c65-3b5b0f4f7d11",
            "signing_key": "signing/demo-alliance.pem",
            "verification_keys": "verification/alliance/sandbox.json",
            "not_found_codes": ["b_token_not_found"],
            "timeout": timeout,
        }),
    };
    serde_json::from_value(program_settings).unwrap()
}

#[rstest]
fn every_cell_of_the_matrix_ends_as_it_must(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut matrix = Matrix::new(backend);
    matrix.register(true);
    matrix.restart(false);
    matrix.register(false);
    matrix.cells.iter().for_each(|cell| matrix.give(cell));
    for (sandbox, said) in matrix.sandboxes.iter().zip(ANSWERS) {
        for reach in REACHES {
            sandbox.set_fault(operation(reach), fault(reach, said));
        }
    }
    matrix.restart(true);
    matrix.cells.iter().for_each(|cell| matrix.judge(cell));
    let healed = matrix.heal();
    matrix.agree();
    let count = matrix.cells.len();
    println!(
        "token commands on {backend:?}: {count} of {count} cells as they must be, {healed} healed"
    );
}

//! Killed after the other side has carried out a token command and before we have written what it
//! answered. Every command is done after the restart, with at most one more attempt.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use tempfile::NamedTempFile;
use tokenkeep::dispatcher::{CommandRequest, Commanded, request_command};
use tokenkeep::domain::TokenCommand::{self, Deactivate, Suspend};
use tokenkeep::domain::{CardId, ProgramToken, Registration};
use tokenkeep::jose::StorageKeys;
use tokenkeep::processor::{Registering, register};
use tokenkeep::sandbox::Operation::{SetTokenStatus, UpdateTokenState};
use tokenkeep::sandbox::Sandbox;
use tokenkeep::settings::Settings;
use tokenkeep::store::{DatabaseUrl, Store};
use tokenkeep::telemetry::Clock;

use crate::support::calls::sandbox;
use crate::support::issuer::{CLIENT, programs, settings_file};
use crate::support::serve::Serve;
use crate::support::{Backend, TestDatabase, keys, wait_until};

/// One round for each place of the kill that is worth it; on each database.
const ROUNDS: usize = 5;

struct Killing {
    database: TestDatabase,
    sandbox: Sandbox,
    store: Store,
    settings: Settings,
    file: NamedTempFile,
    serve: Serve,
}

/// A card with its one token, and the command that a round gives for it.
struct Victim {
    card: CardId,
    program: &'static str,
    token: String,
    command: TokenCommand,
}

impl Killing {
    fn new(backend: Backend) -> Self {
        let database = TestDatabase::new(backend);
        let sandbox = sandbox(Clock::system(), |_| {});
        let storage = Arc::new(StorageKeys::load(&keys()).unwrap());
        let url = DatabaseUrl::parse(&database.url()).unwrap();
        let mut settings = Settings::defaults().unwrap();
        for (name, program) in programs(&sandbox, &serde_json::json!({})) {
            let program = serde_json::from_value(program).unwrap();
            settings.programs.insert(name, program);
        }
        let file = settings_file(&sandbox);
        Self {
            serve: start(&database, &file),
            store: Store::open(&url, storage).unwrap(),
            database,
            sandbox,
            settings,
            file,
        }
    }

    fn victims(&self, round: usize) -> Vec<Victim> {
        let of_issuer = |place: usize, command| Victim {
            card: CardId::parse(&format!("8000{round}{place}")).unwrap(),
            program: "issuer",
            token: format!("559876543210{round:02}{place:02}"),
            command,
        };
        let of_bank = |place: usize, command| Victim {
            card: CardId::parse(&format!("bank-{round}-{place}")).unwrap(),
            program: "bank",
            token: format!("-bank-token-{round:02}-{place:02}"),
            command,
        };
        vec![
            of_issuer(1, Suspend),
            of_issuer(2, Deactivate),
            of_bank(3, Suspend),
            of_bank(4, Deactivate),
        ]
    }

    /// Commands are given; the process dies when all of them have been carried out there.
    fn round(&mut self, round: usize) -> usize {
        let victims = self.victims(round);
        victims.iter().for_each(|victim| self.register(victim));
        self.wait_until_over();
        let before = self.bank_calls();
        self.sandbox.hold(SetTokenStatus);
        self.sandbox.hold(UpdateTokenState);
        victims.iter().for_each(|victim| self.give(victim));
        wait_until("all of it has been carried out there", || {
            victims.iter().all(|victim| self.is_done_there(victim))
        });
        self.kill(round);
        self.wait_until_over();
        victims.iter().for_each(|victim| self.judge(victim));
        let of_bank = self.bank_calls() - before;
        assert!((2..=4).contains(&of_bank), "{of_bank} calls of two");
        let of_issuer = victims.iter().map(|victim| self.issuer_calls(victim));
        let of_issuer = Vec::from_iter(of_issuer.filter(|count| *count > 0));
        assert!(of_issuer.iter().all(|count| *count <= 2), "{of_issuer:?}");
        of_bank + of_issuer.iter().sum::<usize>()
    }

    fn register(&self, victim: &Victim) {
        let text = ProgramToken::parse(&victim.token).unwrap();
        let (token, tokens) = match victim.program {
            "bank" => {
                self.sandbox.add_bank_token(&victim.token, "customer-9");
                (Some(text), Vec::new())
            }
            _ => {
                let contract = victim.card.as_str();
                self.sandbox.add_token(contract, CLIENT, &victim.token);
                (None, vec![text])
            }
        };
        let registration = Registration {
            card_id: victim.card.clone(),
            program: Some(victim.program.to_owned()),
            consumer_reference: None,
            masked: Default::default(),
            token: None,
            tokens: Vec::new(),
            received_at: Clock::system().now(),
        };
        let registering = Registering {
            registration,
            token,
            tokens,
        };
        register(&self.store, &self.settings.policy(), registering).unwrap();
    }

    fn give(&self, victim: &Victim) {
        let request = CommandRequest {
            card_id: victim.card.clone(),
            token: None,
            command: victim.command,
        };
        let now = Clock::system().now();
        let given = request_command(&self.store, &self.settings.policy(), &request, now);
        assert!(matches!(given.unwrap(), Commanded::Queued(_)));
    }

    /// Half of the times no answer comes any more, half of the times the kill meets it.
    fn kill(&mut self, round: usize) {
        if round % 2 == 1 {
            self.sandbox.release();
            std::thread::sleep(Duration::from_millis(round as u64 * 3));
        }
        self.serve.kill();
        self.sandbox.release();
        // Stands for the minute after which the claims of the dead process end.
        self.database
            .execute("UPDATE outbox SET lease_until = 0 WHERE state = 'running'");
        self.serve = start(&self.database, &self.file);
    }

    fn wait_until_over(&self) {
        let open = "SELECT count(*) AS number FROM outbox WHERE state IN ('waiting', 'running')";
        wait_until("all calls are over", || self.database.number(open) == 0);
    }

    fn bank_calls(&self) -> usize {
        self.sandbox.count(UpdateTokenState, None)
    }

    fn issuer_calls(&self, victim: &Victim) -> usize {
        let card = Some(victim.card.as_str());
        self.sandbox.count(SetTokenStatus, card)
    }

    fn is_done_there(&self, victim: &Victim) -> bool {
        let status = match victim.program {
            "bank" => self.sandbox.bank_token(&victim.token),
            _ => self.sandbox.token_status(&victim.token),
        };
        let status = status.unwrap().to_uppercase();
        let target = victim.command.target();
        status.replace("DEACTIVATED", "DELETED") == target.word()
    }

    fn judge(&self, victim: &Victim) {
        let (jobs, row) = self
            .store
            .read(|tx| Ok((tx.jobs_of_card(&victim.card)?, tx.card(&victim.card)?)))
            .unwrap();
        let commands = jobs.iter().filter(|job| job.kind == "token_status");
        let commands = Vec::from_iter(commands);
        assert_eq!(commands.len(), 1, "{}", victim.card);
        assert_eq!(commands[0].state, "done", "{:?}", commands[0]);
        assert!(commands[0].attempts <= 2, "{:?}", commands[0]);
        assert!(self.is_done_there(victim), "{}", victim.card);
        let card = row.unwrap().card;
        let target = victim.command.target();
        assert_eq!(card.status_word(), Some(target.word()), "{}", victim.card);
    }
}

fn start(database: &TestDatabase, file: &NamedTempFile) -> Serve {
    let file = file.path().to_str().unwrap();
    Serve::start_with(database, &[("TOKENKEEP_CONFIG", file)])
}

#[rstest]
fn killed_after_a_command_is_carried_out_and_before_our_commit_it_is_done_after_the_restart(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut killing = Killing::new(backend);
    let calls: usize = (0..ROUNDS).map(|round| killing.round(round)).sum();
    let commands = ROUNDS * 4;
    // In the rounds without an answer every command was sent twice.
    assert!(calls >= commands + (ROUNDS / 2) * 4, "{calls}");
    println!(
        "token commands on {backend:?}: {ROUNDS} kills, {commands} commands done, {calls} calls"
    );
}

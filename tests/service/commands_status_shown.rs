//! What the command line shows of tokens, and of calls that carry a command, before and after a running
//! service has made them.

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::sandbox::{Sandbox, SandboxSettings};
use tokenkeep::store::JobView;
use tokenkeep::telemetry::Clock;

use crate::support::commands::{Output, fed};
use crate::support::{App, Backend, keys, wait_until};

/// What the command line has to know of the programs: their calls are the service's.
const SETTINGS: &str = "[programs.issuer]\nkind = \"mastercard-processing\"\n\
                        [programs.bank]\nkind = \"alliance\"\n";
/// A contract, one of its two tokens, and a token of the bank, as the sandbox has them from the start.
const CONTRACT: &str = "70001";
const NUMBER: &str = "5598765432109876";
const BANK_TOKEN: &str = "-s9UCfCNN0YMk4ZOyZX8pWAt";
const BANK_CARD: &str = "-bank-card";

struct Running {
    app: App,
    sandbox: Sandbox,
    folder: tempfile::TempDir,
}

impl Running {
    fn new(backend: Backend) -> Self {
        let settings = SandboxSettings::new(keys());
        let sandbox = Sandbox::start(settings.clone()).unwrap();
        let programs = json!({
            "issuer": {
                "kind": "mastercard-processing",
                "base_url": sandbox.processing_url(),
                "consumer_key": "demo-consumer",
                "signing_key": settings.signing_key,
                "encryption_key": "encryption/sandbox.pem",
            },
            "bank": {
                "kind": "alliance",
                "base_url": sandbox.alliance_url(),
                "kid": settings.alliance_kid,
                "signing_key": settings.alliance_signing_key,
                "verification_keys": "verification/alliance/sandbox.json",
            },
        });
        let mut app = App::spawn_with(backend, |settings| {
            settings.programs = serde_json::from_value(programs).unwrap();
        });
        // The command line goes by the system's clock.
        app.stop();
        app.start_with(Clock::system());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenkeep.toml"), SETTINGS).unwrap();
        let running = Self {
            app,
            sandbox,
            folder,
        };
        running.register(
            CONTRACT,
            &json!({ "program": "issuer", "tokens": [{ "tokenNumber": NUMBER }] }),
        );
        let token = json!({ "paymentToken": BANK_TOKEN });
        running.register(BANK_CARD, &json!({ "program": "bank", "token": token }));
        running
    }

    fn register(&self, card: &str, registration: &Value) {
        let reply = self.app.put(&format!("/v1/cards/{card}"), registration);
        assert_eq!(reply.status, 201, "{}", reply.text);
        self.settle(card);
    }

    /// Waits until no call of the card is to be made any more.
    fn settle(&self, card: &str) {
        let is_open = |job: &JobView| ["waiting", "running"].contains(&&*job.state);
        wait_until("its calls are made", || {
            !self.app.jobs(card).iter().any(is_open)
        });
    }

    fn fed(&self, args: &[&str], input: &str) -> Output {
        let file = self.folder.path().join("tokenkeep.toml");
        let settings = ["--config", file.to_str().unwrap()];
        let ran = fed(&self.app.database, &[&settings, args].concat(), input);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran
    }

    fn told(&self, args: &[&str]) -> String {
        self.fed(args, "").stdout
    }

    /// The latest call of a card.
    fn last_call(&self, card: &str) -> JobView {
        self.app.jobs(card).pop().unwrap()
    }

    /// A printed text with ids and instants made the same in every run, as long as they are.
    fn stable(&self, text: &str) -> String {
        let jobs = [CONTRACT, BANK_CARD]
            .map(|card| self.app.jobs(card))
            .concat();
        let tokens = jobs.iter().filter_map(|job| job.token_id.clone());
        let tokens = Vec::from_iter(tokens);
        let ids = jobs.iter().map(|job| (job.id.as_str(), job.kind.as_str()));
        let ids = ids.chain(tokens.iter().map(|id| (id.as_str(), "token")));
        let is_instant = |word: &&str| word.len() == 24 && word.ends_with('Z');
        let instants = text.split([' ', '\n', ',']).filter(is_instant);
        ids.chain(instants.map(|instant| (instant, "TIME")))
            .fold(text.to_owned(), |text, (value, name)| {
                text.replace(value, &format!("{name:-<0$}", value.len()))
            })
    }
}

#[rstest]
fn a_command_for_one_token_is_shown_with_its_call_until_it_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let running = Running::new(backend);
    let unneeded = running.told(&["cards", "status", CONTRACT, "resume"]);
    assert_eq!(unneeded, "no change: the tokens have that status\n");
    let one = ["cards", "status", CONTRACT, "suspend", "--token", "-"];
    running.fed(&one, NUMBER);
    running.settle(CONTRACT);
    assert_eq!(
        running.sandbox.token_status(NUMBER).as_deref(),
        Some("Suspended")
    );
    let call = running.last_call(CONTRACT).id;
    let repeated = running.fed(&one, NUMBER).stdout;
    assert_eq!(repeated, "no change: the tokens have that status\n");
    allow_duplicates! {
        let shown = running.told(&["cards", "show", CONTRACT]);
        assert_snapshot!(running.stable(&shown), @r"
        card            70001
        status          ACTIVE
        program         issuer
        consumer
        may be charged  yes
        token           …9876, SUSPENDED, expires 12/2031
        token           …2345, ACTIVE, expires 12/2031
        updated         TIME--------------------
        call            read_tokens done, queued at TIME--------------------, 1 attempt
        call            token_status SUSPEND done, queued at TIME--------------------, 1 attempt
        ");
        let shown = running.told(&["outbox", "show", &call]);
        assert_snapshot!(running.stable(&shown), @r"
        call            token_status------------------------
        kind            token_status
        card            70001
        command         SUSPEND
        token           token-------------------------------
        number version  none
        notification    none
        state           done
        attempts        1
        not before      none
        last status     none
        last reason     none
        created         TIME--------------------
        ended           TIME--------------------
        ");
    }
}

#[rstest]
fn commands_for_a_card_of_the_bank_are_listed_with_their_words(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let running = Running::new(backend);
    for (word, state) in [
        ("suspend", "SUSPENDED"),
        ("resume", "ACTIVE"),
        ("deactivate", "DELETED"),
    ] {
        let told = running.told(&["cards", "status", BANK_CARD, word]);
        assert!(told.contains("queued for a running serve"), "{told}");
        running.settle(BANK_CARD);
        assert_eq!(
            running.sandbox.bank_token(BANK_TOKEN).as_deref(),
            Some(state)
        );
    }
    allow_duplicates! {
        let listed = running.told(&["outbox", "list", "--card", BANK_CARD]);
        assert_snapshot!(running.stable(&listed), @r"
        CALL                                  KIND                     CARD        STATE  ATTEMPTS  NOT BEFORE  LAST RESULT
        read_tokens-------------------------  read_tokens              -bank-card  done   1
        token_status------------------------  token_status SUSPEND     -bank-card  done   1
        token_status------------------------  token_status RESUME      -bank-card  done   1
        token_status------------------------  token_status DEACTIVATE  -bank-card  done   1
        ");
        let shown = running.told(&["outbox", "show", &running.last_call(BANK_CARD).id]);
        assert_snapshot!(running.stable(&shown), @r"
        call            token_status------------------------
        kind            token_status
        card            -bank-card
        command         DEACTIVATE
        token           all of the card
        number version  none
        notification    none
        state           done
        attempts        1
        not before      none
        last status     none
        last reason     none
        created         TIME--------------------
        ended           TIME--------------------
        ");
        let shown = running.told(&["cards", "show", BANK_CARD]);
        assert_snapshot!(running.stable(&shown), @r"
        card            -bank-card
        status          DELETED
        program         bank
        consumer
        may be charged  no, it has ended
        token           …pWAt, DELETED
        updated         TIME--------------------
        call            read_tokens done, queued at TIME--------------------, 1 attempt
        call            token_status SUSPEND done, queued at TIME--------------------, 1 attempt
        call            token_status RESUME done, queued at TIME--------------------, 1 attempt
        call            token_status DEACTIVATE done, queued at TIME--------------------, 1 attempt
        ");
    }
    let over = running.told(&["cards", "status", BANK_CARD, "deactivate"]);
    assert_eq!(over, "no change: the tokens have that status\n");
}

#[rstest]
fn calls_and_tokens_stand_in_the_json_of_a_card_and_of_a_call(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let running = Running::new(backend);
    running.fed(
        &["cards", "status", CONTRACT, "suspend", "--token", "-"],
        NUMBER,
    );
    running.settle(CONTRACT);
    let json_of = |args: &[&str]| running.fed(&[args, &["--json"]].concat(), "").json();
    let card = json_of(&["cards", "show", CONTRACT]);
    let tokens = card["tokens"].as_array().unwrap();
    let of = |last_four: &str| tokens.iter().find(|token| token["lastFour"] == last_four);
    let (first, second) = (of("9876").unwrap(), of("2345").unwrap());
    assert_eq!(
        (&first["status"], &second["status"]),
        (&json!("SUSPENDED"), &json!("ACTIVE"))
    );
    let in_card = card["jobs"].as_array().unwrap().last().unwrap();
    let call = json_of(&["outbox", "show", in_card["id"].as_str().unwrap()]);
    let list = json_of(&["outbox", "list", "--kind", "token_status"]);
    for shown in [in_card, &call, &list["jobs"][0]] {
        assert_eq!(
            (&shown["command"], &shown["tokenId"], &shown["state"]),
            (&json!("SUSPEND"), &first["id"], &json!("done"))
        );
    }
}

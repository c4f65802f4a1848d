//! `cards status`: what becomes of a command for the tokens of a card, and what is refused.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::CardId;
use tokenkeep::store::{CardRow, JobView, Store};

use crate::storage::open;
use crate::support::commands::{Output, fed};
use crate::support::{Backend, TestDatabase};

/// Three programs whose calls nobody makes: what is queued stays as it is.
const SETTINGS: &str = r#"
[programs.shop]
kind = "mastercard-checkout"
[programs.issuer]
kind = "mastercard-processing"
[programs.bank]
kind = "alliance"
"#;

pub const CONTRACT: &str = "70001";
const OTHER_CONTRACT: &str = "-70002";
pub const FIRST: &str = "5598765432109876";
const SECOND: &str = "5598765432102345";
const OF_OTHER: &str = "5598765432103456";
const BANK_CARD: &str = "-bank-card";
pub const BANK_TOKEN: &str = "-s9UCfCNN0YMk4ZOyZX8pWAt";
pub const SHOP_CARD: &str = "shop-card";
pub const STRAY: &str = "stray";

/// The command line with cards of each program.
pub struct Cards {
    pub database: TestDatabase,
    store: Store,
    folder: tempfile::TempDir,
}

impl Cards {
    pub fn new(backend: Backend) -> Self {
        let database = TestDatabase::new(backend);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenkeep.toml"), SETTINGS).unwrap();
        let store = open(&database).unwrap();
        let cards = Self {
            database,
            store,
            folder,
        };
        let number = |number: &str| json!({ "tokenNumber": number });
        let lines = [
            json!({ "cardId": CONTRACT, "program": "issuer", "tokens": [number(FIRST), number(SECOND)] }),
            json!({ "cardId": OTHER_CONTRACT, "program": "issuer", "tokens": [number(OF_OTHER)] }),
            json!({ "cardId": BANK_CARD, "program": "bank", "token": { "paymentToken": BANK_TOKEN } }),
            json!({ "cardId": SHOP_CARD, "program": "shop" }),
            json!({ "cardId": STRAY }),
        ];
        let lines = lines.map(|line| line.to_string()).join("\n");
        let imported = cards.fed(&["cards", "import", "-"], &lines);
        assert_eq!(imported.code, 0, "{imported:?}");
        cards
    }

    fn fed(&self, args: &[&str], input: &str) -> Output {
        let file = self.folder.path().join("tokenkeep.toml");
        let settings = ["--config", file.to_str().unwrap()];
        fed(&self.database, &[&settings, args].concat(), input)
    }

    fn ran(&self, args: &[&str]) -> Output {
        self.fed(args, "")
    }

    pub fn status(&self, args: &[&str]) -> Output {
        self.ran(&[&["cards", "status"], args].concat())
    }

    /// A command that must be done; returns what it printed.
    fn told(&self, args: &[&str]) -> String {
        let ran = self.status(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        ran.stdout
    }

    /// The same for the token on standard input.
    pub fn for_token(&self, card: &str, word: &str, input: &str) -> Output {
        let args = ["cards", "status", card, word, "--token", "-", "--json"];
        let ran = self.fed(&args, input);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        let is_secret = |line: &str| !line.is_empty() && all.contains(line);
        assert!(!input.lines().any(is_secret), "a token is printed: {all}");
        ran
    }

    fn card(&self, card: &str) -> CardRow {
        let id = CardId::parse(card).unwrap();
        self.store.read(|tx| tx.card(&id)).unwrap().unwrap()
    }

    /// The calls of a card that carry a command.
    pub fn commands(&self, card: &str) -> Vec<JobView> {
        let id = CardId::parse(card).unwrap();
        let mut jobs = self.store.read(|tx| tx.jobs_of_card(&id)).unwrap();
        jobs.retain(|job| job.kind == "token_status");
        jobs
    }

    /// Id of the card's token that ends with these characters.
    fn token(&self, card: &str, last_four: &str) -> String {
        let row = self.card(card);
        let mut tokens = row.card.tokens.iter();
        let token = tokens.find(|token| token.last_four == last_four);
        token.unwrap().id.clone()
    }
}

/// A refusal: its exit code and its only sentence.
pub fn refused(ran: &Output, code: i32, sentence: &str) {
    let told = format!("tokenkeep: {sentence}\n");
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (code, "", told.as_str())
    );
}

#[rstest]
fn a_command_is_queued_and_a_repeat_names_the_call_that_carries_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let cards = Cards::new(backend);
    let told = cards.told(&[CONTRACT, "suspend"]);
    let [call] = <[JobView; 1]>::try_from(cards.commands(CONTRACT)).unwrap();
    assert_eq!(
        told,
        format!("SUSPEND queued for a running serve: call {}\n", call.id)
    );
    assert_eq!((call.state.as_str(), call.token_id), ("waiting", None));
    assert_eq!(call.command.as_deref(), Some("SUSPEND"));

    let again = cards.told(&[CONTRACT, "suspend"]);
    assert_eq!(again, format!("no change: call {} is waiting\n", call.id));
    assert_eq!(cards.commands(CONTRACT).len(), 1);
}

#[rstest]
fn a_command_is_printed_as_json_and_supersedes_what_was_never_sent(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let cards = Cards::new(backend);
    let json_of = |word: &str| -> Value {
        serde_json::from_str(&cards.told(&["--json", BANK_CARD, word])).unwrap()
    };
    let first = json_of("suspend");
    let suspension = first["job"]["id"].as_str().unwrap();
    assert_eq!(
        first,
        json!({
            "cardId": BANK_CARD,
            "tokenStatus": "SUSPEND",
            "outcome": "queued",
            "job": {
                "id": suspension,
                "kind": "token_status",
                "command": "SUSPEND",
                "cardId": BANK_CARD,
                "state": "waiting",
                "attempts": 0,
                "nextAt": first["job"]["nextAt"],
                "lastStatus": null,
                "lastReason": null,
            },
        })
    );
    let repeated = json_of("suspend");
    assert_eq!(
        (&repeated["outcome"], &repeated["job"]["id"]),
        (&json!("no_change"), &json!(suspension))
    );
    let resumed = json_of("resume");
    assert_eq!(
        (&resumed["outcome"], &resumed["job"]["command"]),
        (&json!("queued"), &json!("RESUME"))
    );
    let [old, new] = <[JobView; 2]>::try_from(cards.commands(BANK_CARD)).unwrap();
    assert_eq!(
        (
            old.id.as_str(),
            old.state.as_str(),
            old.last_reason.as_deref()
        ),
        (
            suspension,
            "discarded",
            Some("superseded by a newer command")
        )
    );
    assert_eq!(new.state, "waiting");
}

#[rstest]
fn a_deactivation_is_never_taken_back(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let cards = Cards::new(backend);
    cards.told(&[CONTRACT, "deactivate"]);
    for word in ["suspend", "resume"] {
        let sentence = format!(
            "{} is not possible: after the commands that wait the status is DELETED",
            word.to_uppercase()
        );
        refused(&cards.status(&[CONTRACT, word]), 1, &sentence);
    }
    let calls = cards.commands(CONTRACT);
    assert_eq!((calls.len(), calls[0].state.as_str()), (1, "waiting"));
}

#[rstest]
fn the_token_is_read_from_standard_input(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("", "\n", "\r\n")] line_end: &str,
) {
    let cards = Cards::new(backend);
    let one = cards.for_token(CONTRACT, "suspend", &format!("{SECOND}{line_end}"));
    assert_eq!(one.code, 0, "{one:?}");
    assert_eq!(one.json()["job"]["tokenId"], cards.token(CONTRACT, "2345"));
    // A token of the bank, which begins with a hyphen, is all of its card.
    let of_bank = cards.for_token(BANK_CARD, "suspend", &format!("{BANK_TOKEN}{line_end}"));
    assert_eq!(of_bank.code, 0, "{of_bank:?}");
    assert_eq!(of_bank.json()["job"]["tokenId"], Value::Null);
}

#[rstest]
fn a_token_that_nobody_has_is_taken_into_a_contract_but_not_into_a_card_that_is_its_token(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let cards = Cards::new(backend);
    let taken = cards.for_token(CONTRACT, "suspend", "5598765432100000");
    assert_eq!(taken.code, 0, "{taken:?}");
    assert_eq!(
        taken.json()["job"]["tokenId"],
        cards.token(CONTRACT, "0000")
    );

    let unknown = "the card has no such token, or none is known yet";
    let other = cards.for_token(BANK_CARD, "suspend", "-SRrSBe5DOb7lrZ_FS46fiht");
    refused(&other, 1, unknown);
    refused(&cards.for_token(CONTRACT, "suspend", OF_OTHER), 1, unknown);
    assert_eq!(cards.commands(BANK_CARD).len(), 0);
}

#[rstest]
fn ids_that_begin_with_a_hyphen_are_cards(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let cards = Cards::new(backend);
    for card in [OTHER_CONTRACT, BANK_CARD] {
        cards.told(&[card, "deactivate"]);
        assert_eq!(cards.commands(card).len(), 1, "{card}");
    }
    refused(
        &cards.status(&["-nobody", "suspend"]),
        1,
        "no card of this id is known",
    );
}

#[rstest]
fn to_deactivate_a_card_of_checkout_is_to_delete_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let cards = Cards::new(backend);
    let told = cards.told(&[SHOP_CARD, "deactivate"]);
    assert!(told.starts_with("DEACTIVATE queued for a running serve: call "));
    assert_eq!(
        cards.card(SHOP_CARD).card.status_word(),
        Some("DELETE_PENDING")
    );
    let again = cards.told(&[SHOP_CARD, "deactivate"]);
    let call = told.trim_end().rsplit(' ').next().unwrap();
    assert_eq!(again, format!("no change: call {call} is waiting\n"));
    for word in ["suspend", "resume"] {
        refused(&cards.status(&[SHOP_CARD, word]), 1, "the card has ended");
    }
}

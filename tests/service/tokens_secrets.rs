//! A token's text is nowhere but at the other side: not in logs, answers or metrics, nor readable in the
//! database, and not even sealed once the token has ended.

use openssl::base64::encode_block;
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::jose::{Place, StorageKeys};
use tokenkeep::sandbox::Operation::{ReadTokens, SetTokenStatus, UpdateTokenState};
use tokenkeep::sandbox::{ErrorShape, Fault};

use crate::support::issuer::CLIENT;
use crate::support::sql::sql;
use crate::support::watched::Watched;
use crate::support::{App, Backend, TestDatabase, keys};

const NUMBERS: [&str; 3] = ["5598123498765431", "5598123498769992", "5598123498763713"];
const BANK_TOKENS: [&str; 2] = ["-Kq7ZpX2mVt9LwRb4YcN1sDf", "_Hj3FgT8vNe6QaUk5WzB0iPo"];
const CONTRACT: &str = "66001";
const REPLACEMENT: &str = "66002";

/// The forms in which a token's text could lie about.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let hex = |upper: bool| {
        let digits = bytes.iter().map(|byte| match upper {
            true => format!("{byte:02X}"),
            false => format!("{byte:02x}"),
        });
        digits.collect::<String>()
    };
    let spaced = format!(
        "{} {} {} {}",
        &text[..4],
        &text[4..8],
        &text[8..12],
        &text[12..]
    );
    // Inside of a longer text base64 begins at one of three places; its ends belong to the neighbours.
    let base64 = (0..3).map(|place| {
        let whole = encode_block(&[&[b' '; 2][..place.min(2)], bytes].concat());
        let whole = whole.trim_end_matches('=');
        whole[4..whole.len() - 2].to_owned()
    });
    let mut forms = vec![text.to_owned(), hex(false), hex(true), spaced];
    forms.extend(base64);
    let mut forms = Vec::from_iter(forms.into_iter().map(String::into_bytes));
    if let Ok(number) = text.parse::<u64>() {
        forms.push(number.to_be_bytes()[1..].to_vec());
    }
    forms
}

/// The form in which some token's text stands there, if one does.
fn found(haystack: &[u8]) -> Option<String> {
    let texts = NUMBERS.iter().chain(&BANK_TOKENS);
    let mut forms = texts.flat_map(|text| forms(text));
    let is_there = |form: &Vec<u8>| {
        haystack
            .windows(form.len())
            .any(|part| part == form.as_slice())
    };
    let form = forms.find(is_there)?;
    Some(String::from_utf8_lossy(&form).into_owned())
}

impl Watched {
    /// Gives a command; returns the status that it is answered with.
    fn command(&mut self, card: &str, command: &str, token: Option<&str>) -> u16 {
        let body = json!({ "tokenStatus": command, "tokenNumber": token }).to_string();
        let reply = self.ask("PUT", &format!("/v1/cards/{card}/token-status"), &body);
        self.settle();
        reply.status
    }

    /// Suspends and resumes: whatever the status is known to be, a call is made.
    fn toggle(&mut self, card: &str, token: Option<&str>) {
        let answered = ["SUSPEND", "RESUME"].map(|command| self.command(card, command, token));
        assert!(answered.contains(&202), "{card}: {answered:?}");
    }

    fn register(&mut self, card: &str, registration: &Value) {
        let path = format!("/v1/cards/{card}");
        let reply = self.ask("PUT", &path, &registration.to_string());
        assert!(reply.status < 300, "{}", reply.body);
        self.settle();
    }

    /// Tokens are registered, commanded, refused, lost and found in every way that there is.
    fn live(&mut self) {
        for number in &NUMBERS[..2] {
            self.sandbox.add_token(CONTRACT, CLIENT, number);
        }
        for token in BANK_TOKENS {
            self.sandbox.add_bank_token(token, "customer-9");
        }
        let tokens = json!([{ "tokenNumber": NUMBERS[0] }, { "tokenNumber": NUMBERS[2] }]);
        // One is not known there: it is asked for by itself.
        self.register(CONTRACT, &json!({ "program": "issuer", "tokens": tokens }));
        let token = json!({ "paymentToken": BANK_TOKENS[0] });
        self.register("bank-card", &json!({ "program": "bank", "token": token }));
        self.refused();
        self.faults();
        self.sandbox.relink(CONTRACT, REPLACEMENT);
        let path = format!("/v1/cards/{CONTRACT}/contract-status");
        self.ask("PUT", &path, r#"{"contractStatus": "41"}"#);
        self.settle();
        self.toggle(REPLACEMENT, Some(NUMBERS[1]));
        self.toggle("bank-card", Some(BANK_TOKENS[0]));
    }

    /// Every spoilt answer, once for each side.
    fn faults(&mut self) {
        let echo = |status| Fault::Error {
            status,
            shape: ErrorShape::Service { detail: None },
            retry_after: None,
        };
        for fault in [
            echo(503),
            Fault::AnswerLost,
            Fault::BadJson,
            Fault::WrongSchema,
            echo(404),
            echo(400),
        ] {
            self.sandbox.answer_next(ReadTokens, Fault::Undecryptable);
            self.sandbox.answer_next(SetTokenStatus, fault.clone());
            self.toggle(CONTRACT, Some(NUMBERS[0]));
            self.sandbox.answer_next(UpdateTokenState, fault);
            self.toggle("bank-card", None);
        }
        // The bank's own words may be the token itself.
        for code in [BANK_TOKENS[0], "b_token_not_found"] {
            self.sandbox
                .answer_next(UpdateTokenState, Fault::ErrorWithin200(code));
            self.toggle("bank-card", None);
        }
    }

    /// Requests that are refused, with a token's text wherever one could stand.
    fn refused(&mut self) {
        let [number, bank] = [NUMBERS[0], BANK_TOKENS[0]];
        let bodies = [
            json!({ "tokenStatus": number }),
            json!({ "tokenStatus": "SUSPEND", number: 1 }),
            json!({ "tokenStatus": "SUSPEND", "tokenNumber": [number] }),
            json!({ "tokenStatus": "SUSPEND", "tokenNumber": format!("{number} {bank}") }),
            json!({ "contractStatus": number }),
            json!({ bank: bank }),
            json!({ "program": number }),
            json!({ "program": "issuer", "tokens": [{ number: number }] }),
            json!({ "program": "bank", "token": { "paymentToken": { bank: number } } }),
            json!({ "program": "issuer", "token": { "paymentToken": bank } }),
        ];
        let mut texts = Vec::from_iter(bodies.iter().map(Value::to_string));
        texts.push(format!("{{\"tokenNumber\": {number}, \"{bank}"));
        for text in texts {
            for below in ["", "/token-status", "/contract-status"] {
                let path = format!("/v1/cards/{CONTRACT}{below}");
                let reply = self.ask("PUT", &path, &text);
                assert!((400..500).contains(&reply.status), "{path}: {}", reply.body);
            }
        }
        for card in ["bank-card", "nobody"] {
            assert_eq!(self.command(card, "SUSPEND", Some(number)), 404);
        }
    }

    /// All that can be looked at from outside.
    fn look(&mut self) {
        for path in [
            "/v1/cards",
            &format!("/v1/cards/{CONTRACT}"),
            &format!("/v1/cards/{REPLACEMENT}"),
            "/v1/cards/bank-card",
            "/v1/events?limit=1000",
            "/v1/outbox?limit=1000",
            "/v1/notifications",
            "/metrics",
        ] {
            let reply = self.ask("GET", path, "");
            assert!(matches!(reply.status, 200 | 410), "{path}: {}", reply.body);
        }
    }

    /// How many recorded inputs there are, and the texts found in them when they are opened.
    fn recorded(&self) -> (usize, Vec<String>) {
        let storage = StorageKeys::load(&keys()).unwrap();
        let is_sqlite = matches!(self.app.database, TestDatabase::Sqlite { .. });
        let hex = if is_sqlite {
            "hex(content)"
        } else {
            "encode(content, 'hex')"
        };
        let mut opened = Vec::new();
        for table in ["answers", "registrations"] {
            let query =
                format!("SELECT id || ' ' || {hex} AS text FROM {table} WHERE content IS NOT NULL");
            for row in sql(&self.app.database).texts(&query) {
                let (row, hex) = row.split_once(' ').unwrap();
                let column = "content";
                let sealed = bytes_of(hex);
                let place = Place { table, column, row };
                opened.push(storage.open(&sealed, &place).unwrap());
            }
        }
        let told = opened.iter().filter_map(|content| found(content));
        (opened.len(), told.collect())
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[rstest]
fn no_token_is_readable_in_logs_answers_or_the_database_and_none_is_kept_that_has_ended(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut watched = Watched::start(backend);
    watched.live();
    watched.look();
    let kept = "SELECT count(*) AS number FROM card_tokens WHERE value IS NOT NULL";
    assert_eq!(watched.app.database.number(kept), 4);
    assert_eq!(found(&watched.app.database.bytes()), None, "sealed");

    // Everything ends.
    for card in [REPLACEMENT, CONTRACT, "bank-card"] {
        assert_eq!(watched.command(card, "DEACTIVATE", None), 202);
    }
    watched.look();
    watched.stop();
    // Of the one that nobody there knows nobody can say that it has ended.
    assert_eq!(watched.app.database.number(kept), 1);
    let (inputs, told) = watched.recorded();
    assert!(inputs > 10 && told.is_empty(), "{inputs}: {told:?}");
    assert_eq!(
        found(&watched.app.database.bytes()),
        None,
        "in the database"
    );
    for reply in &watched.replies {
        assert_eq!(found(reply.as_bytes()), None, "{reply}");
    }
    let log = watched.log();
    assert!(log.contains("call attempted") && log.contains("TRACE"));
    let line = log.lines().find(|line| found(line.as_bytes()).is_some());
    assert_eq!(line, None);
    println!(
        "tokens' texts on {backend:?}: {} answers, {} lines of log, {inputs} inputs, none found",
        watched.replies.len(),
        log.lines().count()
    );
}

/// What the other test looks for would be found.
#[rstest]
fn a_text_that_lies_about_in_any_form_is_found(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    for text in NUMBERS.iter().chain(&BANK_TOKENS) {
        for (place, padding) in ["", "a", "ab"].into_iter().enumerate() {
            let inside = encode_block(format!("{padding}{text}\"}}").as_bytes());
            assert!(found(inside.as_bytes()).is_some(), "{text} at {place}");
        }
        for form in forms(text) {
            assert!(found(&[b"..".as_slice(), &form, b".."].concat()).is_some());
        }
        let insert = |value: &str| {
            format!(
                "INSERT INTO api_keys (name, role, digest, created_at) VALUES ('{value}', 'app', '{value}', 0)"
            )
        };
        app.database.execute(&insert(text));
        assert!(found(&app.database.bytes()).is_some(), "{text}");
        app.database.execute("DELETE FROM api_keys");
    }
}

//! No command prints a full number, and no log line holds one, whatever is told.

use std::fs;
use std::process::{Command, Stdio};

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{
    CARD, NUMBER_1, NUMBER_2, encrypted, plain, refresh, refresh_with, status,
};
use crate::support::commands::{Output, with};
use crate::support::key_folder::LateKey;
use crate::support::{App, Backend, Client, START, keys, wait_until};

/// What all numbers here begin with, in the forms in which they could be printed.
fn is_silent(text: &[u8]) -> bool {
    let forms = [
        "5480980000",
        "5480 9800 0000",
        "35343830393830303030",
        "NTQ4MDk4MDAwMD",
    ];
    let holds = |form: &str| text.windows(form.len()).any(|part| part == form.as_bytes());
    !forms.iter().any(|form| holds(form))
}

/// Runs a command that tells everything it can.
fn ran(app: &App, arguments: &[&str]) -> Output {
    let output = with(&app.database, arguments, &[("RUST_LOG", "trace")]);
    for text in [&output.stdout, &output.stderr] {
        assert!(is_silent(text.as_bytes()), "{arguments:?}: {text}");
    }
    output
}

fn clear(number: &str) -> Value {
    json!({ "paymentToken": number, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031" })
}

/// A number whose check digit fits: by that a number is known where none should stand.
pub fn number_that_fits() -> String {
    let fits = |number: &String| {
        let sum: u32 = (number.bytes().rev().enumerate())
            .map(|(place, byte)| match (place % 2, u32::from(byte - b'0')) {
                (0, digit) => digit,
                (_, digit) => digit * 2 / 10 + digit * 2 % 10,
            })
            .sum();
        sum.is_multiple_of(10)
    };
    let mut numbers = (0..10).map(|last| format!("{}{last}", &NUMBER_1[..15]));
    numbers.find(fits).unwrap()
}

/// Bodies that hold numbers in every place where one could stand.
fn bodies() -> Vec<Value> {
    let number = number_that_fits();
    let mut inside = refresh("inside", START - 2_000, NUMBER_1, ("12", "2031"));
    inside["paymentData"] = clear(NUMBER_2);
    let mut astray = status("astray", Some(START - 2_000), "ACTIVE");
    let spaced = format!("{} {} {}", &number[..4], &number[4..8], &number[8..]);
    astray["reasonCode"] = number.as_str().into();
    astray["paymentAccount"] = number.as_str().into();
    astray["maskedCard"]["paymentCardDescriptor"] = format!("card {spaced}").into();
    astray["maskedCard"]["digitalCardData"]["descriptorName"] = number.as_str().into();
    astray["maskedCard"]["digitalCardData"]["status"] = number.as_str().into();
    let late = LateKey::new("late").payment_jwe(NUMBER_1, ("12", "2031"));
    vec![
        plain(&[refresh(CARD, START - 2_000, NUMBER_1, ("12", "2031"))]),
        plain(&[refresh(CARD, START - 1_000, NUMBER_2, ("12", "2031"))]),
        plain(&[refresh("ended", START - 2_000, NUMBER_1, ("12", "2031"))]),
        plain(&[status("ended", Some(START - 1_000), "CANCELLED")]),
        plain(&[refresh_with("held", START - 1_000, &late)]),
        encrypted(&json!([inside])),
        plain(&[astray]),
    ]
}

#[rstest]
fn w29_no_command_prints_or_logs_a_full_number(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let path = format!("/v1/cards/{CARD}");
    assert_eq!(
        app.put(&path, &json!({ "token": clear(NUMBER_1) })).status,
        201
    );
    bodies().iter().for_each(|body| app.deliver(body));
    let listed = ran(&app, &["notifications", "list", "--json"]).json();
    let ids: Vec<&str> = listed["notifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 7);
    for id in &ids {
        assert_eq!(ran(&app, &["notifications", "explain", id]).code, 0);
        assert_eq!(
            ran(&app, &["notifications", "explain", id, "--json"]).code,
            0
        );
    }
    assert_eq!(ran(&app, &["notifications", "show", ids[0]]).code, 0);
    for card in [CARD, "inside", "astray", "held", "ended"] {
        assert_eq!(ran(&app, &["cards", "show", card]).code, 0, "{card}");
        ran(&app, &["cards", "show", card, "--json"]);
    }
    for arguments in [
        vec!["cards", "list"],
        vec!["cards", "list", "--json"],
        vec!["notifications", "list"],
        vec![
            "notifications",
            "replay",
            "--since",
            "9000d",
            "--reason",
            "x",
            "--dry-run",
        ],
        vec![
            "notifications",
            "replay",
            "--since",
            "9000d",
            "--reason",
            "x",
            "--json",
        ],
        vec!["check"],
        vec!["keys", "list"],
        vec!["outbox", "list"],
        vec!["outbox", "retry", "--all", "--state", "waiting"],
        vec!["cards", "list", "--not-there"],
        vec!["reconcile", "--since", "0m"],
        vec![
            "cards",
            "delete",
            CARD,
            "held",
            "--yes",
            "--program",
            "shop",
        ],
        vec!["cards", "list", "--not-confirmed", "--json"],
    ] {
        assert_eq!(ran(&app, &arguments).code, 0, "{arguments:?}");
    }
    for path in ["/v1/cards", "/v1/notifications", "/metrics"] {
        assert!(is_silent(app.get(path).text.as_bytes()), "{path}");
    }
}

#[test]
fn w28_files_with_full_numbers_are_replayed_imported_and_refused_without_an_echo() {
    let app = App::spawn(Backend::Sqlite);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let lines: Vec<String> = bodies().iter().map(Value::to_string).collect();
    let good = file("good.ndjson", lines.join("\n"));
    for more in [vec!["--dry-run"], vec![], vec!["--json"]] {
        let mut arguments = vec!["replay", &good];
        arguments.extend(more);
        assert_eq!(ran(&app, &arguments).code, 0);
    }
    let bad = file(
        "bad.ndjson",
        format!("{{\"a\": {NUMBER_1}\n{NUMBER_2}\n\"{NUMBER_1}\"\n"),
    );
    assert_eq!(ran(&app, &["replay", &bad]).code, 1);
    assert_eq!(ran(&app, &["cards", "import", &bad]).code, 1);
    let key = keys().join("payload/demo-payload-2026.pem");
    let made = ran(&app, &["encrypt", &bad, "--key", key.to_str().unwrap()]);
    assert_eq!(made.code, 2, "{made:?}");
}

#[test]
fn w29_the_demo_prints_and_logs_no_full_number() {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
        .args(["demo", "--exit"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RUST_LOG", "tokenkeep=trace")
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(is_silent(&output.stdout) && is_silent(&output.stderr));
}

#[rstest]
fn w29_a_service_that_logs_everything_logs_no_full_number(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values("human", "json")] format: &str,
) {
    let mut app = App::spawn(backend);
    app.stop();
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--api-listen",
            "127.0.0.1:0",
        ])
        .env("DATABASE_URL", app.database.url())
        .env("TOKENKEEP_KEYS", keys())
        .env("TOKENKEEP_LOG__FORMAT", format)
        .env("RUST_LOG", "trace")
        .stderr(Stdio::from(log.reopen().unwrap()))
        .spawn()
        .unwrap();
    let read = || fs::read_to_string(log.path()).unwrap();
    let mut url = String::new();
    wait_until("the service listens", || {
        let text = read();
        let Some((_, rest)) = text.split_once("receiving on ") else {
            return false;
        };
        let end = rest.find(|c: char| c == '"' || c.is_whitespace());
        url = end.map(|end| rest[..end].to_owned()).unwrap_or_default();
        !url.is_empty()
    });
    let client = Client::new();
    for body in bodies() {
        assert_eq!(client.post(&url, &body.to_string()).status, 204);
    }
    for wrong in [
        NUMBER_1.to_owned(),
        format!("{{\"{NUMBER_1}\": {NUMBER_2}}}"),
    ] {
        let answer = client.post(&url, &wrong);
        assert!(answer.status == 400 && is_silent(answer.text.as_bytes()));
    }
    let decided = "SELECT count(*) AS number FROM notifications";
    wait_until("everything is decided", || {
        app.database.number(decided) == 7
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let text = read();
    assert!(
        text.contains("item decided"),
        "it tells much: {} bytes",
        text.len()
    );
    let told = text.lines().find(|line| !is_silent(line.as_bytes()));
    assert!(told.is_none(), "{told:?}");
    if format == "json" {
        for line in text.lines() {
            serde_json::from_str::<Value>(line).unwrap();
        }
    }
    drop(app);
}

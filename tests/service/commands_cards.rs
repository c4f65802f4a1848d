//! `cards` and `notifications`: beside a running service, and never with a full number.

use insta::{allow_duplicates, assert_snapshot};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::commands::{Output, fed};
use crate::support::{App, Backend, START, TestDatabase};

/// Runs a command, which must not print a full number.
fn ran(database: &TestDatabase, args: &[&str], input: &str) -> Output {
    let ran = fed(database, args, input);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!all.contains("548098"), "{args:?}: {all}");
    ran
}

fn json_of(database: &TestDatabase, args: &[&str]) -> Value {
    let ran = ran(database, args, "");
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.json()
}

const IMPORT: &str = r#"{"cardId": "card-1", "program": "shop", "consumerReference": "me"}

not json 5480980000000099
{"cardId": "card-2", "token": {"paymentToken": "5480980000000011", "tokenExpirationMonth": "12", "tokenExpirationYear": "2031"}}
{"cardId": "card-3", "5480980000000099": 1}
{"program": "shop"}
{"cardId": "card 4"}
{"cardId": "card-5", "token": {"paymentToken": "54809800000000x9"}}
{"cardId": "card-1", "consumerReference": "you"}
{"cardId": "card-6", "maskedCard": {"panLastFour": "0747"}}
"#;

#[rstest]
fn cards_import_registers_good_lines_and_names_the_bad_ones(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(false, true)] from_standard_input: bool,
) {
    let database = TestDatabase::new(backend);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, IMPORT).unwrap();
    let path = file.path().to_string_lossy().into_owned();
    let (from, input) = if from_standard_input {
        ("-", IMPORT)
    } else {
        (path.as_str(), "")
    };
    let imported = ran(&database, &["cards", "import", from], input);
    assert_eq!(imported.code, 1, "{imported:?}");
    allow_duplicates! {
        assert_snapshot!(imported.stdout, @r"
        3 new, 1 known before, 5 refused
         LINE  REFUSED BECAUSE
         3     the body is not accepted: not JSON (line 1, column 2)
         5     the body has a field that is none of program, consumerReference, maskedCard, token, tokens
         6     cardId is missing
         7     cardId is not of the right form
         8     token is not of the right form: paymentToken has 12 to 19 digits
        ");
        assert_snapshot!(imported.stderr, @"tokenkeep: some lines were refused; the others are registered");
    }
    let listed = json_of(&database, &["cards", "list", "--json"]);
    let ids: Vec<&str> = listed["cards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["cardId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["card-1", "card-2", "card-6"]);
    let first = &listed["cards"][0];
    assert_eq!(
        (&first["program"], &first["consumerReference"]),
        (&json!("shop"), &json!("you"))
    );
    assert_eq!(listed["cards"][1]["token"]["lastFour"], "0011");
    let again = ran(&database, &["cards", "import", "-"], IMPORT);
    assert!(
        again.stdout.starts_with("0 new, 4 known before, 5 refused"),
        "{again:?}"
    );
}

#[rstest]
fn cards_import_of_good_lines_alone_is_done(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let lines: String = (0..200)
        .map(|n| format!("{{\"cardId\": \"card-{n}\"}}\n"))
        .collect();
    let imported = ran(&database, &["cards", "import", "-"], &lines);
    assert_eq!(
        (imported.code, imported.stdout.as_str()),
        (0, "200 new, 0 known before, 0 refused\n")
    );
    let missing = ran(&database, &["cards", "import", "elsewhere.ndjson"], "");
    assert!(
        missing.code == 2 && missing.stderr.contains("elsewhere.ndjson"),
        "{missing:?}"
    );
}

/// A card that is refreshed, one that is suspended and one that has ended.
fn app_with_three_cards(backend: Backend) -> App {
    let app = App::spawn(backend);
    app.put(
        &format!("/v1/cards/{CARD}"),
        &json!({ "program": "shop", "consumerReference": "me" }),
    );
    app.deliver(&plain(&[refresh(
        CARD,
        START - 9_000,
        NUMBER_1,
        ("12", "2031"),
    )]));
    app.deliver(&plain(&[refresh(
        CARD,
        START - 8_000,
        NUMBER_2,
        ("01", "2033"),
    )]));
    app.deliver(&plain(&[status(
        "suspended",
        Some(START - 8_000),
        "SUSPENDED",
    )]));
    app.deliver(&plain(&[status("ended", Some(START - 8_000), "CANCELLED")]));
    app
}

#[rstest]
fn cards_list_and_show_say_what_the_api_says_and_more(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_three_cards(backend);
    let listed = json_of(&app.database, &["cards", "list", "--json"]);
    let ids = |list: &Value| {
        Vec::from_iter(
            list["cards"]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| c["cardId"].clone()),
        )
    };
    assert_eq!(
        ids(&listed),
        [CARD, "ended", "suspended"],
        "operators see what has ended"
    );
    assert_eq!(
        listed["cards"][0],
        app.get(&format!("/v1/cards/{CARD}")).json()
    );
    let page = json_of(
        &app.database,
        &["cards", "list", "--json", "--limit", "1", "--after", CARD],
    );
    assert_eq!(
        (ids(&page), &page["next"]),
        (vec![json!("ended")], &json!("ended"))
    );
    let mine = json_of(
        &app.database,
        &["cards", "list", "--json", "--consumer", "me"],
    );
    assert_eq!(ids(&mine), [CARD]);

    let shown = json_of(&app.database, &["cards", "show", CARD, "--json"]);
    assert_eq!(
        (&shown["mayCharge"], &shown["reasons"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(shown["cryptogram"], "due");
    let states: Vec<&Value> = shown["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| &job["state"])
        .collect();
    assert_eq!(states.last(), Some(&&json!("waiting")), "{shown}");
    let suspended = json_of(&app.database, &["cards", "show", "suspended", "--json"]);
    assert_eq!(suspended["mayCharge"], false);
    assert_eq!(suspended["reasons"], json!(["suspended"]));
    let ended = json_of(&app.database, &["cards", "show", "ended", "--json"]);
    assert_eq!(
        (&ended["mayCharge"], &ended["status"]),
        (&json!(false), &json!("CANCELLED"))
    );

    for (id, sentence) in [
        (CARD, "yes"),
        ("suspended", "no: suspended"),
        ("ended", "no, it has ended"),
    ] {
        let text = ran(&app.database, &["cards", "show", id], "").stdout;
        let line = text
            .lines()
            .find(|line| line.contains("may be charged"))
            .unwrap();
        assert!(line.ends_with(sentence), "{text}");
    }
    let text = ran(&app.database, &["cards", "list"], "").stdout;
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[rstest]
fn notifications_are_listed_shown_and_explained(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_three_cards(backend);
    let item = app.notifications(CARD).pop().unwrap();
    let text = |args: &[&str]| {
        let ran = ran(&app.database, args, "");
        assert_eq!(ran.code, 0, "{ran:?}");
        // As long as the id, so that columns stay where they are.
        let name = format!("{:-<1$}", "DELIVERY", item.delivery_id.len());
        ran.stdout.replace(&item.delivery_id, &name)
    };
    allow_duplicates! {
        assert_snapshot!(text(&["notifications", "explain", &item.id]), @r"
         notification  DELIVERY----------------------------.0
         card          9ajNArkAR66zqYyHCn0rCA000000000000US
         received      2026-07-20T10:00:00.000Z
         event time    2026-07-20T09:59:52.000Z
         reason        TOKEN_REFRESH
         status        ACTIVE
         verdict       applied
         rule          number-and-expiry-changed
         flags

        How it was decided
         REGISTER    STEP
         status      ACTIVE once more, at 2026-07-20T09:59:52.000Z
         token       number and expiry changed
         cryptogram  due for number version 2: queued

        What it changed
         FIELD                FROM     TO
         token.number         0011     0022
         token.numberVersion  1        2
         token.expiry         12/2031  01/2033
         token.version        1        2

        Calls that followed
         CALL        STATE    NOT BEFORE                ATTEMPTS
         cryptogram  waiting  2026-07-20T10:00:00.000Z  0
        ");
        assert_snapshot!(text(&["notifications", "list", "--card", CARD, "--limit", "1"]), @r"
        NOTIFICATION                            RECEIVED                  CARD                                  REASON         VERDICT  RULE                       CHANGES
        DELIVERY----------------------------.0  2026-07-20T10:00:00.000Z  9ajNArkAR66zqYyHCn0rCA000000000000US  TOKEN_REFRESH  applied  number-and-expiry-changed  4
        ");
    }
    let shown = json_of(
        &app.database,
        &["notifications", "show", &item.id, "--json"],
    );
    assert_eq!(
        shown,
        app.get(&format!("/v1/notifications/{}", item.id)).json()
    );
    let explained = json_of(
        &app.database,
        &["notifications", "explain", &item.id, "--json"],
    );
    assert!(
        explained["trace"]
            .as_array()
            .is_some_and(|trace| trace.len() >= 3),
        "{explained}"
    );
    let listed = json_of(&app.database, &["notifications", "list", "--json"]);
    assert_eq!(listed, app.get("/v1/notifications").json());
    let applied = [
        "notifications",
        "list",
        "--json",
        "--verdict",
        "applied",
        "--card",
        "ended",
    ];
    let applied = json_of(&app.database, &applied);
    assert_eq!(applied["notifications"].as_array().unwrap().len(), 1);
}

//! `check --data` and `reconcile --missed`, and what the console shows: what seems to have been missed is
//! told, and asked about where it can be known.

use std::sync::atomic::Ordering;

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;
use tokenkeep::domain::Missed;
use tokenkeep::sandbox::CardStatus;
use tokenkeep::settings::Role;
use tokenkeep::telemetry::Clock;

use crate::commands_reconcile::PROGRAM;
use crate::missed::{DAY, app, cards};
use crate::missed_silence::fill;
use crate::support::build::{plain, status};
use crate::support::calls::{HOUR, Shop};
use crate::support::commands::{Output, with};
use crate::support::{App, Backend, START};

/// Commands go by the machine's clock.
fn days_ago(days: i64) -> i64 {
    Clock::system().now() - days * DAY
}

fn go_to(app: &App, time: i64) {
    app.clock.store(time, Ordering::SeqCst);
}

fn run(app: &App, args: &[&str]) -> Output {
    with(&app.database, args, &PROGRAM)
}

/// Three cards that have been suspended for long, of a program that can be called, of one that cannot,
/// and of none that is known.
fn with_suspended(backend: Backend) -> App {
    let app = app(backend);
    go_to(&app, days_ago(31));
    let at = Some(app.clock.load(Ordering::SeqCst));
    let ids = ["callable", "elsewhere", "stray"];
    app.deliver(&plain(&ids.map(|id| status(id, at, "SUSPENDED"))));
    app.put("/v1/cards/callable", &json!({ "program": "shop" }));
    app.put("/v1/cards/elsewhere", &json!({ "program": "bank" }));
    app
}

#[rstest]
fn check_data_tells_each_kind_with_the_first_cards_and_what_to_do(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = with_suspended(backend);
    let text = run(&app, &["check", "--data"]);
    assert_eq!(text.code, 1, "{text:?}");
    for told in [
        "token-expires: the token ends soon and no refresh came: 0\n",
        "suspended-long: suspended for long: 3\n",
        "callable",
        "`tokenkeep reconcile --missed suspended-long` asks",
        "silence: ",
    ] {
        assert!(text.stdout.contains(told), "{told}: {}", text.stdout);
    }
    let json = run(&app, &["check", "--data", "--json"]);
    assert_eq!(json.code, 1, "{json:?}");
    let findings = json.json()["findings"].clone();
    let of = |kind: &str| -> Value {
        let mut all = findings.as_array().unwrap().iter();
        all.find(|it| it["kind"] == kind).unwrap().clone()
    };
    assert_eq!(of("digits-disagree")["count"], 0);
    let suspended = of("suspended-long");
    assert_eq!(suspended["count"], 3);
    let first = suspended["first"].as_array().unwrap();
    let ids = Vec::from_iter(first.iter().map(|card| card["cardId"].as_str().unwrap()));
    assert_eq!(ids, ["callable", "elsewhere", "stray"]);
    assert_eq!(first[0]["program"], "shop");

    app.advance(DAY);
    let at = Some(app.clock.load(Ordering::SeqCst));
    app.deliver(&plain(
        &ids.clone()
            .into_iter()
            .map(|id| status(id, at, "ACTIVE"))
            .collect::<Vec<_>>(),
    ));
    let well = run(&app, &["check", "--data"]);
    assert_eq!((well.code, well.stderr.as_str()), (0, ""), "{well:?}");
    // Without it nothing of the cards is told.
    let plain = run(&app, &["check"]);
    assert!(
        plain.stdout.starts_with("settings: in order\n"),
        "{plain:?}"
    );
    assert!(!plain.stdout.contains("suspended-long"), "{plain:?}");
    assert_eq!(run(&app, &["check", "--json"]).code, 2);
}

#[rstest]
fn check_data_tells_a_silent_program_with_what_is_usual(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = app(backend);
    app.stop();
    let end = Clock::system().now() / HOUR;
    app.database.execute("DELETE FROM traffic");
    fill(&app.database, "shop", end - 30, 14, 5);
    fill(&app.database, "", end, 2, 0);
    let ran = run(&app, &["check", "--data", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let silent = &ran.json()["silent"][0];
    assert_eq!(
        (&silent["program"], &silent["lately"], &silent["usualDay"]),
        (&json!("shop"), &json!(0), &json!(120))
    );
    let text = run(&app, &["check", "--data"]);
    let told = "shop: 0 lately, 120 on a usual day, the last before 20";
    assert!(text.stdout.contains(told), "{}", text.stdout);
}

#[rstest]
fn cards_that_are_not_judged_yet_are_told_and_all_is_not_well(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = app(backend);
    app.deliver(&plain(&[status("card", Some(START), "ACTIVE")]));
    app.stop();
    app.database
        .execute("UPDATE cards SET signs_noted = FALSE; DELETE FROM traffic");
    let text = run(&app, &["check", "--data"]);
    assert_eq!(text.code, 1, "{text:?}");
    for told in ["not judged whole: 1 cards", "silence: not judged: "] {
        assert!(text.stdout.contains(told), "{told}: {}", text.stdout);
    }
    let json = run(&app, &["check", "--data", "--json"]).json();
    assert_eq!(
        (&json["notJudged"], &json["silence"], &json["silent"]),
        (&json!(1), &json!("not-judged"), &Value::Null)
    );
    // A process that does not dispatch does not look at them.
    app.settings.roles = vec![Role::Receive];
    app.start();
    let visitor = app.sign_in(&app.new_key(AccessRole::Ops, "night-shift"));
    let overview = visitor.page("/console");
    for line in [
        "Cards not judged yet whether something was missed: 1",
        "Whether programs are silent is not judged",
    ] {
        assert!(overview.contains(line), "{line}: {overview}");
    }
}

#[rstest]
fn silence_that_is_switched_off_is_told_as_that(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let off = [("TOKENKEEP_MISSED__SILENT_HOURS", "0")];
    let text = with(&app.database, &["check", "--data"], &off);
    assert_eq!(text.code, 0, "{text:?}");
    let told = "silence: switched off: missed.silent_hours is 0\n";
    assert!(text.stdout.ends_with(told), "{}", text.stdout);
    let json = with(&app.database, &["check", "--data", "--json"], &off).json();
    assert_eq!(
        (&json["silence"], &json["silent"]),
        (&json!("switched-off"), &Value::Null)
    );
}

#[rstest]
fn reconcile_asks_about_cards_of_a_kind_and_refuses_those_that_nobody_can_be_asked_about(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = with_suspended(backend);
    app.database.execute("DELETE FROM outbox");
    let none = run(&app, &["reconcile", "--missed", "token-expires", "--json"]);
    assert_eq!(
        (none.code, &none.json()["queued"]),
        (0, &json!(0)),
        "{none:?}"
    );
    let rehearsed = run(&app, &["reconcile", "--missed", "--dry-run", "--json"]);
    assert_eq!(rehearsed.json()["queued"], 1);
    assert!(app.jobs("callable").is_empty(), "a dry run queues nothing");
    let done = run(&app, &["reconcile", "--missed", "suspended-long", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let refused = json!([
        { "cardId": "elsewhere", "reason": "its program cannot be called" },
        { "cardId": "stray", "reason": "its program is not known" },
    ]);
    let expected = json!({ "dryRun": false, "queued": 1, "openBefore": 0, "refused": refused });
    assert_eq!(done.json(), expected);
    assert_eq!(app.jobs("callable")[0].kind, "get_card");
    assert!(app.jobs("elsewhere").is_empty() && app.jobs("stray").is_empty());
}

#[rstest]
#[case::unknown_kind(&["--missed", "everything"])]
#[case::beside_cards(&["--missed", "--card", "x"])]
#[case::beside_a_program(&["--missed", "--program", "shop"])]
fn wrong_use_of_missed_is_told(#[case] args: &[&str]) {
    let app = App::spawn(Backend::Sqlite);
    let ran = run(&app, &[&["reconcile"], args].concat());
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[rstest]
fn a_resumption_that_never_came_is_found_and_learned_by_asking(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::open(backend);
    shop.advance(days_ago(31) - START);
    shop.card_with_cryptogram("card");
    let told = shop
        .sandbox
        .set_status("card", CardStatus::Suspended)
        .unwrap();
    shop.app.deliver(&told);
    shop.settle();
    // The other side resumes it, and nobody here hears of it.
    shop.sandbox.set_status("card", CardStatus::Active).unwrap();
    shop.advance(31 * DAY);
    assert!(!shop.may_charge("card"));
    assert_eq!(cards(&shop.app, Missed::SuspendedLong).len(), 1);
    let asked = run(&shop.app, &["reconcile", "--missed", "suspended-long"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    // The command's clock is not behind ours.
    shop.advance(HOUR);
    shop.settle();
    assert_eq!(cards(&shop.app, Missed::SuspendedLong), []);
    assert!(shop.may_charge("card"));
}

#[rstest]
fn the_console_names_what_was_missed_on_the_overview_in_a_list_and_on_the_cards_page(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app(backend);
    let items = (0..52).map(|n| status(&format!("card-{n:02}"), Some(START), "SUSPENDED"));
    app.deliver(&plain(&Vec::from_iter(items)));
    let visitor = app.sign_in(&app.new_key(AccessRole::Ops, "night-shift"));
    let line = "Cards suspended-long, suspended for long: 52";
    assert!(!visitor.page("/console").contains(line));
    assert!(
        !visitor
            .page("/console/cards/card-07")
            .contains("suspended-long")
    );
    // A session does not last for so long.
    app.advance(30 * DAY);
    let visitor = app.sign_in(&app.new_key(AccessRole::Ops, "day-shift"));
    let list = "/console/cards?missed=suspended-long";
    let overview = visitor.page("/console");
    let link = format!("<a href=\"{list}\">{line}</a>");
    assert!(overview.contains(&link), "{overview}");
    let first = visitor.page(list);
    assert!(
        first.contains("<code>tokenkeep reconcile --missed suspended-long</code>"),
        "{first}"
    );
    assert!(first.contains("/console/cards/card-49\"") && !first.contains("card-50\""));
    let (_, next) = first.split_once("rel=\"next\" href=\"").unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    let second = visitor.page(&next);
    assert!(second.contains("/console/cards/card-51\"") && !second.contains("card-49\""));
    let card = visitor.page("/console/cards/card-07");
    assert!(
        card.contains("suspended-long</a>: suspended for long, since"),
        "{card}"
    );
    let none = visitor.page("/console/cards?missed=token-expires");
    assert!(none.contains("No card is so."), "{none}");
    for wrong in ["missed=everything", "missed=suspended-long&after=x"] {
        assert_eq!(visitor.open(&format!("/console/cards?{wrong}")).status, 400);
    }
}

#[rstest]
fn the_overview_names_a_silent_program(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app(backend);
    let end = START / HOUR;
    app.database.execute("DELETE FROM traffic");
    fill(&app.database, "", end, 1, 0);
    fill(&app.database, "shop", end - 24, 14, 2);
    let visitor = app.sign_in(&app.new_key(AccessRole::Ops, "night-shift"));
    let overview = visitor.page("/console");
    let line = "shop tells of little: 0 lately, 48 on a usual day, the last 24 h ago";
    assert!(overview.contains(line), "{overview}");
}

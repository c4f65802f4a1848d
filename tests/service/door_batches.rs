//! What of a well-formed body is kept: batches, both forms, wrong types, unknown values.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{CARD, NUMBER_1, encrypted, plain, refresh, status};
use crate::support::raw::post;
use crate::support::sql::sql;
use crate::support::{App, Backend, START};
use crate::wire::{latest, shown, verdict};

const LIST: &str = "digitalCardUpdateNotifications";
const ENCRYPTED: &str = "encryptedDigitalCardUpdateNotifications";

fn items(app: &App) -> i64 {
    app.database
        .number("SELECT count(*) AS number FROM notifications")
}

fn with_verdict(app: &App, verdict: &str) -> i64 {
    let of = format!("SELECT count(*) AS number FROM notifications WHERE verdict = '{verdict}'");
    app.database.number(&of)
}

#[rstest]
fn w16_a_batch_of_0_to_the_most_items_is_kept_whole_and_one_more_is_refused_whole(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn_with(backend, |settings| settings.receiver.max_items = 300);
    let batch = |count: i64| {
        let element = |at| status(&format!("card-{count}-{at}"), Some(START - at), "ACTIVE");
        plain(&(0..count).map(element).collect::<Vec<_>>())
    };
    for count in [0, 1, 100, 300] {
        let before = items(&app);
        app.deliver(&batch(count));
        assert_eq!(items(&app) - before, count);
    }
    let cards = "SELECT count(*) AS number FROM cards WHERE status = 'ACTIVE'";
    assert_eq!(app.database.number(cards), 401);
    let reply = post(app.public(), batch(301).to_string().as_bytes());
    assert_eq!((reply.status, &*reply.code()), (413, "too-many-items"));
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(app.database.deliveries(), 4);
    app.deliver(&batch(1));
    println!(
        "W-16 {backend:?}: {} batches of 0 to the most (300) items kept with {} items, of 301 refused whole",
        app.database.deliveries(),
        items(&app)
    );
    assert_eq!(items(&app), 402);
}

#[rstest]
fn w16_a_batch_whose_third_item_cannot_be_stored_leaves_nothing_of_the_others(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let element = |at| status(&format!("card-{at}"), Some(START), "ACTIVE");
    sql(&app.database).refuse_inserts("notifications", "NEW.item_index = 2");
    app.deliver(&plain(&(0..5).map(element).collect::<Vec<_>>()));
    let cards = "SELECT count(*) AS number FROM cards";
    let (applied, kept) = (app.database.number(cards), items(&app));
    // It was tried again and again; what stands there now says that it waits for somebody.
    assert_eq!(verdict(&latest(&app)), "quarantined(processing-failed)");
    println!(
        "W-16 {backend:?}: a batch that breaks at its third item: {applied} of 5 applied, {kept} held"
    );
    assert_eq!((applied, kept), (0, 1));
}

#[rstest]
fn w16_one_bad_item_at_any_position_of_five_is_quarantined_and_the_others_apply(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let bad = [
        (json!(7), "not-a-notification"),
        (Value::Null, "not-a-notification"),
        (json!({ "reasonCode": "STATUS_UPDATE" }), "no-card-id"),
        (status("a b", Some(START), "ACTIVE"), "no-card-id"),
    ];
    for (kind, (bad, hold)) in bad.iter().enumerate() {
        for position in 0..5 {
            let card = |at| format!("card-{kind}-{position}-{at}");
            let mut list: Vec<Value> = (0..4)
                .map(|at| status(&card(at), Some(START), "ACTIVE"))
                .collect();
            list.insert(position, bad.clone());
            app.deliver(&plain(&list));
            for at in 0..4 {
                assert_eq!(app.verdicts(&card(at)), ["applied"], "{}", card(at));
            }
            let query = format!(
                "SELECT count(*) AS number FROM notifications WHERE verdict = 'quarantined' \
                 AND hold = '{hold}' AND item_index = {position} AND delivery_sequence = \
                 (SELECT max(sequence) FROM deliveries)"
            );
            assert_eq!(app.database.number(&query), 1, "{bad} at {position}");
        }
    }
    let applied = with_verdict(&app, "applied");
    println!(
        "W-16 {backend:?}: {} kinds of a bad item at 5 positions: {applied} of {} items applied, {} quarantined",
        bad.len(),
        items(&app),
        with_verdict(&app, "quarantined")
    );
    assert_eq!(items(&app), 5 * 5 * 4);
}

#[rstest]
fn w16_two_items_of_one_card_in_reverse_order_and_the_same_item_twice(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let newer = status("reverse", Some(START - 1_000), "SUSPENDED");
    let older = status("reverse", Some(START - 2_000), "ACTIVE");
    app.deliver(&plain(&[newer, older]));
    assert_eq!(app.verdicts("reverse"), ["applied", "stale"]);
    assert_eq!(shown(&app, "reverse")["status"], "SUSPENDED");

    let twice = refresh("twice", START - 1_000, NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[twice.clone(), twice.clone()]));
    app.deliver(&plain(&[twice]));
    assert_eq!(app.verdicts("twice"), ["applied", "duplicate", "duplicate"]);
    let calls = app.due_cryptograms("twice");
    println!(
        "W-16 {backend:?}: in reverse order {:?}; three times the same {:?}, {} call",
        app.verdicts("reverse"),
        app.verdicts("twice"),
        calls.len()
    );
    assert_eq!(calls, [1]);
}

fn list_of_one() -> Value {
    json!([status(CARD, Some(START), "ACTIVE")])
}

#[rstest]
fn w17_both_forms_are_kept_and_parked_and_wrong_types_are_kept_and_quarantined(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let list = list_of_one();
    let token = encrypted(&list)[ENCRYPTED].clone();
    let plain_values = [list.clone(), json!([]), json!(""), json!(7)];
    let encrypted_values = [token, json!(""), json!(0), json!(false)];
    for plain in &plain_values {
        for encrypted in &encrypted_values {
            app.deliver(&json!({ LIST: plain, ENCRYPTED: encrypted }));
            assert_eq!(verdict(&latest(&app)), "parked(both-forms)", "{plain}");
        }
    }
    assert_eq!(items(&app), 16);
    let wrong = [
        json!(""),
        json!("x"),
        json!(7),
        json!(1.5),
        json!(true),
        json!({}),
    ];
    for value in &wrong {
        app.deliver(&json!({ LIST: value }));
        let verdict = verdict(&latest(&app));
        assert_eq!(verdict, "quarantined(not-a-notification)", "{value}");
    }
    for (value, hold) in [
        (json!(""), "unreadable"),
        (json!("x"), "unreadable"),
        (json!("a.b.c.d.e"), "unreadable"),
        (json!(7), "not-a-notification"),
        (json!(false), "not-a-notification"),
        (json!([]), "not-a-notification"),
        (list, "not-a-notification"),
        (json!({ "ciphertext": "x" }), "not-a-notification"),
    ] {
        app.deliver(&json!({ ENCRYPTED: value }));
        let verdict = verdict(&latest(&app));
        assert_eq!(verdict, format!("quarantined({hold})"), "{value}");
    }
    assert!(app.card(CARD).is_none(), "nothing of it is applied");
    assert_eq!(items(&app), 16 + 6 + 8);
    let neither = [
        json!({}),
        json!({ "other": list_of_one() }),
        json!({ LIST: null }),
        json!({ ENCRYPTED: null }),
        json!({ LIST: null, ENCRYPTED: null }),
    ];
    for body in &neither {
        let reply = post(app.public(), body.to_string().as_bytes());
        assert_eq!((reply.status, &*reply.code()), (400, "not-a-notification"));
    }
    let [parked, quarantined, applied] =
        ["parked", "quarantined", "applied"].map(|verdict| with_verdict(&app, verdict));
    println!(
        "W-17 {backend:?}: {parked} with both forms parked, {quarantined} of wrong types quarantined, {} with \
         neither answered 400; {} kept, {applied} applied",
        neither.len(),
        app.database.deliveries(),
    );
    assert_eq!(app.database.deliveries(), 16 + 6 + 8);
    assert_eq!(applied, 0);
}

/// A value at a place within an element; `None` takes the field away.
fn changed(element: &Value, place: &[&str], value: Option<Value>) -> Value {
    let mut element = element.clone();
    let (name, parents) = place.split_last().unwrap();
    let mut at = &mut element;
    for parent in parents {
        at = &mut at[*parent];
    }
    match value {
        Some(value) => at[*name] = value,
        None => drop(at.as_object_mut().unwrap().remove(*name)),
    }
    element
}

/// A place, what stands there, the verdict, and the card's status afterwards.
type Case<'a> = (&'a [&'a str], Option<Value>, &'a str, Option<&'a str>);

#[rstest]
fn w18_unknown_values_and_missing_fields_are_kept_and_never_make_a_card_active(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let (masked, digital) = ("maskedCard", "digitalCardData");
    let state = [masked, digital, "status"];
    let cases: [Case; 12] = [
        (&["unknown"], Some(json!([1])), "applied", Some("ACTIVE")),
        (
            &[masked, "unknown"],
            Some(json!({})),
            "applied",
            Some("ACTIVE"),
        ),
        (
            &["reasonCode"],
            Some(json!("NEW")),
            "applied",
            Some("ACTIVE"),
        ),
        (
            &["reasonCode"],
            Some(json!(["x"])),
            "applied",
            Some("ACTIVE"),
        ),
        (&["reasonCode"], None, "applied", Some("ACTIVE")),
        (&["eventTimeStamp"], None, "applied", Some("ACTIVE")),
        (
            &state,
            Some(json!("LOCKED")),
            "parked(status-unknown)",
            None,
        ),
        (
            &state,
            Some(json!("active")),
            "parked(status-unknown)",
            None,
        ),
        (&state, None, "parked(status-unknown)", None),
        (&[masked, digital], None, "parked(status-unknown)", None),
        (
            &[masked, "srcDigitalCardId"],
            None,
            "quarantined(no-card-id)",
            None,
        ),
        (&[masked], None, "quarantined(no-card-id)", None),
    ];
    for (number, (place, value, expected, status_after)) in cases.into_iter().enumerate() {
        let card = format!("card-{number}");
        let element = status(&card, Some(START), "ACTIVE");
        app.deliver(&plain(&[changed(&element, place, value)]));
        assert_eq!(verdict(&latest(&app)), expected, "{place:?}");
        let status = shown(&app, &card)["status"].clone();
        // Of a card that is not known, `status` is the 404's.
        let status = status.as_str().map(str::to_owned);
        assert_eq!(status.as_deref(), status_after, "{place:?}");
    }
    println!(
        "W-18 {backend:?}: {} of 12 with an unknown or missing field kept, {} cards ACTIVE",
        app.database.deliveries(),
        app.database
            .number("SELECT count(*) AS number FROM cards WHERE status = 'ACTIVE'")
    );
}

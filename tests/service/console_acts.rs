//! What is done at the console: a notification is found, explained and judged anew; a call is made due,
//! or given up. Everything by the functions of the API, under the key's name.

use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;
use tokenkeep::settings::Role;

use crate::support::audit::Watch;
use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, refresh_with};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::sql::sql;
use crate::support::{App, Backend, START, wait_until};

fn recorded(watch: &mut Watch, act: &str) -> Vec<(String, String, String, String)> {
    let records = watch.new_records().into_iter();
    let of_act = records.filter(|record| record.act == act);
    of_act
        .map(|r| (r.actor, r.object, r.outcome, r.details))
        .collect()
}

#[rstest]
fn a_quarantined_notification_is_found_explained_and_replayed_after_its_difference_was_seen(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::copy();
    let mut app = folder.spawn(backend);
    let late = LateKey::new("late-2026");
    let payment = json!({ "paymentToken": {
        "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    }});
    app.deliver(&plain(&[refresh_with(
        CARD,
        START - 9_000,
        &late.jwe(&payment),
    )]));
    let visitor = app.sign_in(&app.new_key(AccessRole::Ops, "night-shift"));
    let list = visitor.page("/console/notifications?verdict=quarantined");
    assert!(list.contains("quarantined (unknown-key)"), "{list}");
    let id = app.notifications(CARD)[0].id.clone();
    let page = visitor.page(&format!("/console/notifications/{id}"));
    for shown in ["unknown-key", "get_card", "How it was decided"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    // Without a processor: it would take the new key up by itself.
    app.stop();
    folder.put(late.kid, &late.pem);
    app.settings.roles = vec![Role::Receive];
    app.start();
    let visitor = app.sign_in(&app.new_key(AccessRole::Ops, "day-shift"));
    let before = app.notifications(CARD)[0].verdict.clone();
    assert_eq!(before, "quarantined");
    let rehearsed = visitor.page(&format!("/console/notifications/{id}/replay"));
    assert!(
        rehearsed.contains("token.number") && rehearsed.contains("0011"),
        "{rehearsed}"
    );
    assert_eq!(
        app.notifications(CARD)[0].verdict,
        "quarantined",
        "nothing is changed yet"
    );
    let mut watch = Watch::begin(&app.database);
    let path = format!("/console/notifications/{id}/replay");
    assert_eq!(visitor.send(&path, &[("reason", " ")]).status, 400);
    let done = visitor.send(&path, &[("reason", "the key is here now")]);
    assert_eq!(done.status, 303, "{}", done.body);
    assert_eq!(app.notifications(CARD)[0].verdict, "applied");
    let acts = recorded(&mut watch, "notification.replay");
    assert_eq!(acts.len(), 1);
    assert_eq!(
        (&*acts[0].0, &*acts[0].1, &*acts[0].2),
        ("api:day-shift", &*id, "applied")
    );
    assert!(acts[0].3.contains("the key is here now"));
    let page = visitor.page(done.header("location").unwrap());
    for shown in [
        "It was judged anew.",
        "the key is here now",
        "day-shift",
        "cryptogram",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
}

#[rstest]
fn a_call_is_made_due_or_discarded_with_a_reason_where_its_state_allows_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[
        refresh("one", START - 9_000, NUMBER_1, ("12", "2031")),
        refresh("two", START - 9_000, NUMBER_2, ("12", "2031")),
    ]));
    let visitor = app.sign_in(&app.new_key(AccessRole::Ops, "night-shift"));
    let [one, two] = ["one", "two"].map(|card| app.jobs(card)[0].id.clone());
    sql(&app.database)
        .execute("UPDATE outbox SET state = 'parked', last_status = 403, last_reason = 'denied'");
    let list = visitor.page("/console/outbox?state=parked&kind=cryptogram");
    assert!(list.contains(&one) && list.contains(&two) && list.contains("403 denied"));
    assert!(
        !visitor
            .page("/console/outbox?state=parked&card=one")
            .contains(&two)
    );
    assert!(
        visitor
            .page(&format!("/console/outbox/{one}"))
            .contains("Make it due now")
    );
    let mut watch = Watch::begin(&app.database);
    let done = visitor.send(&format!("/console/outbox/{one}/retry"), &[]);
    assert_eq!(done.status, 303, "{}", done.body);
    assert!(
        visitor
            .page(done.header("location").unwrap())
            .contains("It is due now.")
    );
    let acts = recorded(&mut watch, "call.retry");
    assert_eq!(acts.len(), 1);
    assert_eq!(
        (&*acts[0].0, &*acts[0].1, &*acts[0].2),
        ("api:night-shift", &*one, "done")
    );
    let path = format!("/console/outbox/{two}/discard");
    for wrong in ["", "a\nb", &"x".repeat(201)] {
        assert_eq!(
            visitor.send(&path, &[("reason", wrong)]).status,
            400,
            "{wrong:?}"
        );
    }
    let done = visitor.send(&path, &[("reason", "sold")]);
    assert_eq!(done.status, 303, "{}", done.body);
    let page = visitor.page(done.header("location").unwrap());
    assert!(page.contains("It was discarded.") && page.contains("sold"));
    let acts = recorded(&mut watch, "call.discard");
    assert_eq!(acts.len(), 1);
    assert_eq!(acts[0].3, r#"{"reason":"sold"}"#);
    // Neither is possible any more.
    let again = visitor.send(&path, &[("reason", "again")]);
    assert_eq!(again.status, 409);
    assert!(
        again
            .body
            .contains("Only a waiting, parked or dead call can be discarded.")
    );
    let again = visitor.send(&format!("/console/outbox/{two}/retry"), &[]);
    assert_eq!(again.status, 409);
    assert!(!page.contains("Make it due now"));
    let unknown = visitor.send("/console/outbox/nobody/retry", &[]);
    assert_eq!(unknown.status, 404);
    wait_until("the states are as they were left", || {
        app.jobs("two")[0].state == "discarded" && app.jobs("one")[0].state == "waiting"
    });
}

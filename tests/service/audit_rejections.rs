//! P-16, W-23: who was refused is recorded with the right name, cause and number, at either listener.

use rstest::rstest;
use serde_json::Value;
use tokenkeep::api::access::AccessRole;

use crate::support::audit::Watch;
use crate::support::raw::exchange;
use crate::support::tls::request;
use crate::support::{App, Backend};
use crate::wire_settings::app_on;

/// What was recorded of refusals: who, from where, of what, why, and how many.
fn refused(watch: &mut Watch) -> Vec<(String, String, String, String, i64)> {
    let new = watch.new_records().into_iter();
    let refused = new.filter(|record| record.act == "access.refused");
    refused
        .map(|record| {
            let details: Value = serde_json::from_str(&record.details).unwrap();
            // A single one is recorded with its port.
            let origin = record.origin.split(':').next().unwrap().to_owned();
            let count = details.pointer("/of/count").unwrap_or(&details["count"]);
            let count = count.as_i64().unwrap();
            (record.actor, origin, record.object, record.outcome, count)
        })
        .collect()
}

fn expected(records: &[(&str, &str, &str, i64)]) -> Vec<(String, String, String, String, i64)> {
    let whole = |(actor, object, cause, count): &(&str, &str, &str, i64)| {
        let text = |text: &str| text.to_owned();
        (
            text(actor),
            text("127.0.0.1"),
            text(object),
            text(cause),
            *count,
        )
    };
    records.iter().map(whole).collect()
}

#[rstest]
fn p16_each_refused_key_is_recorded_with_its_own_name_and_cause_and_all_are_counted(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    let till = app.new_key(AccessRole::Payments, "till");
    let mut watch = Watch::begin(&app.database);
    for _ in 0..50 {
        assert_eq!(app.send("GET", "/v1/cards", "nonsense", "").status, 401);
    }
    for _ in 0..3 {
        assert_eq!(app.send("GET", "/v1/outbox", &till, "").status, 403);
    }
    let first = [
        ("unknown", "api", "unknown-api-key", 1),
        ("api:till", "api", "role-not-allowed", 1),
    ];
    assert_eq!(refused(&mut watch), expected(&first));
    // What is not recorded yet when the service stops is recorded then.
    app.stop();
    let mut rest = refused(&mut watch);
    rest.sort();
    let others = [
        ("api:till", "api", "role-not-allowed", 2),
        ("unknown", "api", "unknown-api-key", 49),
    ];
    assert_eq!(rest, expected(&others));
    println!("P-16 53 of 53 refused keys counted");
}

#[rstest]
fn w23_the_audit_shows_the_socket_address_of_a_refused_sender_and_how_often_it_came(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = app_on(backend, "[receiver.proxy]\ntrusted = [\"10.9.9.9\"]\n");
    let mut watch = Watch::begin(&app.database);
    let spoofed = [
        "",
        "X-Forwarded-For: 10.9.9.9\r\n",
        "X-Real-IP: 10.9.9.9\r\n",
    ];
    for headers in spoofed {
        let answer = exchange(app.public(), request(headers)).expect("an answer");
        assert_eq!(answer.status, 401, "{headers}");
    }
    app.stop();
    let one = [("unknown", "receiver", "untrusted-address", 3)];
    assert_eq!(refused(&mut watch), expected(&one));
    println!(
        "W-23 {} refused senders in the audit by their socket address",
        spoofed.len()
    );
}

//! P-16, P-11: what the audit says of the service itself: start, stop, settings, keys.

use rstest::rstest;
use tokenkeep::commands::{Service, StartError};
use tokenkeep::store::AuditRecord;
use tokenkeep::telemetry::Clock;

use crate::support::audit::Watch;
use crate::support::key_folder::KeyFolder;
use crate::support::{App, Backend, wait_until};

#[rstest]
fn p16_start_and_stop_are_recorded_with_the_settings_and_keys_in_force(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    let mut watch = Watch::begin(&app.database);
    app.stop();
    let stopped = watch.new_records();
    let words = |records: &[AuditRecord]| -> Vec<String> {
        records.iter().map(|record| record.act.clone()).collect()
    };
    assert_eq!(words(&stopped), ["service.stop"]);
    app.start();
    let started = watch.new_records();
    let expected = ["service.start", "settings.load", "keys.load"];
    assert_eq!(words(&started), expected);
    assert!(started[1].details.contains("fingerprint"));
    assert!(started[2].details.contains("demo-payload-2026"));
    assert!(
        started[0].details.contains(&stopped[0].hash),
        "it names the chain before it"
    );
}

#[rstest]
fn p11_a_refused_key_set_and_new_keys_are_recorded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::copy();
    let app = folder.spawn(backend);
    let mut watch = Watch::begin(&app.database);
    let mut next = || {
        let mut found = Vec::new();
        wait_until("the key folder is looked at", || {
            found = watch.new_records();
            !found.is_empty()
        });
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    };
    folder.put("broken", b"no key");
    let refused = next();
    assert_eq!(
        (&*refused.act, &*refused.outcome),
        ("keys.refuse", "refused")
    );
    assert_eq!((&*refused.actor, &*refused.origin), ("service", "service"));
    assert!(
        !refused.details.contains("broken"),
        "it says which keys are in use"
    );
    folder.remove("broken");
    assert_eq!(next().act, "keys.load");
}

#[rstest]
fn p16_a_start_that_is_refused_is_not_recorded_as_one(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    app.stop();
    let mut watch = Watch::begin(&app.database);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    app.settings.api_listen = taken.local_addr().unwrap().to_string();
    let refused = Service::start(&app.settings, Clock::system());
    assert!(matches!(refused, Err(StartError::Listen(..))));
    assert!(watch.new_records().is_empty());
}

//! The operator's guide about keys, certificates and the clock: each task as it is written.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rstest::rstest;
use tokenkeep::commands::Service;
use tokenkeep::settings::Settings;
use tokenkeep::telemetry::Clock;

use crate::operations::refresh_under;
use crate::support::certificates::{Certificate, Wish};
use crate::support::sql::sql;
use crate::support::stage::{KID, Stage};
use crate::support::{Backend, wait_until};

const TWO_DAYS: i64 = 2 * 24 * 3_600_000;

#[rstest]
fn a_payload_key_gives_way_to_the_next_one_and_both_open_what_is_under_way(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    let next = "payload-2027";
    stage.set_variable("OLD", KID);
    stage.set_variable("NEW", next);
    stage.put("keys/keys.toml", b"[aliases]\n");
    let mode = |path: &str| fs::metadata(stage.path(path)).unwrap().permissions().mode() & 0o777;

    let [make, retire, see] = stage.steps("Rotate the payload key");
    stage.take(&make);
    wait_until("the new key is in use", || {
        stage.log().contains("keys loaded anew: 2 payload keys")
    });
    stage.deliver(&refresh_under(&stage, "new", next, next));
    stage.take(&retire);
    assert_eq!(mode("keys/keys.toml"), 0o640, "the service can read it");
    assert_eq!(mode("keys/payload/payload-2027.pem") & 0o047, 0o040);
    stage.deliver(&refresh_under(&stage, "old", KID, KID));
    stage.look(&see);
    for card in ["new", "old"] {
        assert!(stage.may_charge(card), "{card}");
    }
}

/// A certificate of the listener's own that ends in so many days.
fn listener(days: i64) -> Certificate {
    Certificate::self_signed(&Wish {
        is_for_clients: false,
        valid: (-1, days),
        ..Wish::client(&["localhost"])
    })
}

#[rstest]
fn a_certificate_that_ends_soon_is_renewed_without_a_restart(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::set(backend);
    for (name, certificate) in [("keys/tls/server", listener(6)), ("renewed", listener(90))] {
        stage.put(&format!("{name}.pem"), &certificate.pem());
        stage.put(&format!("{name}.key"), &certificate.key_pem());
    }
    let tls =
        "[receiver.tls]\ncertificate = \"tls/server.pem\"\nprivate_key = \"tls/server.key\"\n";
    stage.settings("", tls);
    stage.start();
    stage.set_variable("NEW_CERTIFICATE", "renewed.pem");
    stage.set_variable("NEW_KEY", "renewed.key");
    stage.set_variable("RECEIVER", &stage.receiver.to_string());

    let [look, renew, see] = stage.steps("A certificate ends soon");
    stage.take(&look);
    stage.take(&renew);
    stage.look(&see);
}

/// Makes the clock wrong for the service: on SQLite by records of the future, on PostgreSQL, whose own
/// clock decides, by that one.
fn put_wrong(stage: &Stage, backend: Backend) {
    match backend {
        Backend::Sqlite => {
            let mut settings = Settings::defaults().unwrap();
            settings.listen = "127.0.0.1:0".to_owned();
            settings.api_listen = "127.0.0.1:0".to_owned();
            settings.database_url = stage.database.url();
            settings.keys = stage.path("keys");
            let ahead = || Clock::system().now() + TWO_DAYS;
            let service = Service::start(&settings, Clock::from_fn(ahead));
            service.unwrap().stop().unwrap();
        }
        Backend::Postgres => {
            let sql = sql(&stage.database);
            sql.execute(
                "CREATE SCHEMA ahead; GRANT USAGE ON SCHEMA ahead TO PUBLIC; \
                 CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
                 $$ SELECT pg_catalog.clock_timestamp() + interval '2 days' $$",
            );
            sql.administer("ALTER DATABASE {name} SET search_path = ahead, pg_catalog, public");
        }
    }
}

#[rstest]
fn a_clock_that_is_not_believed_is_named_and_believed_again(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let stage = Stage::open(backend);
    stage.systemctl("stop");
    put_wrong(&stage, backend);
    stage.systemctl("start");

    let [look, raise, see] = stage.steps("The clock is wrong");
    stage.take(&look);
    if backend == Backend::Postgres {
        sql(&stage.database).administer("ALTER DATABASE {name} RESET search_path");
    }
    stage.take(&raise);
    stage.look(&see);
    stage.tokenkeep(&[
        "api-keys",
        "create",
        "--role",
        "ops",
        "--name",
        "afterwards",
    ]);
}

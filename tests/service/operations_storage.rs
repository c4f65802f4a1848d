//! The operator's guide about the database and the service on it: each task as it is written.

use rstest::rstest;
use tokenkeep::sandbox::CardStatus;
use tokenkeep::telemetry::Clock;

use crate::support::build::{plain, status};
use crate::support::sql::sql;
use crate::support::stage::{Stage, addresses};
use crate::support::{Backend, TestDatabase, wait_until};

#[rstest]
fn how_it_stands_is_told_in_three_places(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let stage = Stage::open(backend);
    let [look] = stage.steps("Before you begin");
    stage.take(&look);
}

#[rstest]
fn an_upgrade_stops_migrates_starts_and_asks_for_what_was_missed(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let stage = Stage::open(backend);
    stage.card("card");
    let [upgrade] = stage.steps("Upgrade");
    stage.take(&upgrade);
    assert!(stage.may_charge("card"));
}

#[rstest]
fn a_service_whose_database_was_down_goes_on_by_itself(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let stage = Stage::open(backend);
    stage.card("card");
    // Mastercard says the same when it is asked: whichever comes first.
    stage.sandbox.send_to(None);
    let notification = stage.sandbox.set_status("card", CardStatus::Suspended);
    let notification = notification.unwrap();
    let [look, see] = stage.steps("The database is down or full");
    sql(&stage.database).take_away();
    stage.take(&look);
    assert_eq!(stage.post(&notification), 503);
    sql(&stage.database).bring_back();
    stage.look(&see);
    stage.deliver(&notification);
    assert!(!stage.may_charge("card"));
}

#[rstest]
fn a_backlog_that_no_process_decides_is_decided_when_one_has_the_role(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::set(backend);
    stage.settings("roles = [\"receive\"]", "");
    stage.start();
    for card in ["first", "second", "third"] {
        let now = Clock::system().now();
        assert_eq!(
            stage.post(&plain(&[status(card, Some(now), "ACTIVE")])),
            204
        );
    }
    let [look, give, see] = stage.steps("The backlog does not go down");
    stage.take(&look);
    stage.take(&give);
    stage.look(&see);
    assert!(stage.may_charge("third"));
}

#[rstest]
fn everything_moves_to_the_other_database_and_goes_on_there(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    stage.card("card");
    let other = match backend {
        Backend::Sqlite => Backend::Postgres,
        Backend::Postgres => Backend::Sqlite,
    };
    let target = TestDatabase::new(other);
    let [owner, app] = addresses(&target);
    stage.set_variable("TARGET", &owner);
    match other {
        Backend::Postgres => {
            target.make_users();
            stage.set_variable("APP", &format!("{app}&connect_timeout=10"));
        }
        Backend::Sqlite => {
            let [source, _] = addresses(&stage.database);
            stage.set_variable("SOURCE", &source);
            stage.set_variable("APP", &app);
        }
    }
    stage.set_variable("ADMIN", &target.url());

    let [look, carry, switch, see] = stage.steps("Move to PostgreSQL");
    stage.take(&look);
    stage.take(&carry);
    stage.take(&switch);
    stage.look(&see);
    assert!(stage.charge("card"));
    let kept = target.deliveries();
    // Mastercard says the same when it is asked: whichever comes first.
    stage.sandbox.send_to(None);
    let suspended = stage.sandbox.set_status("card", CardStatus::Suspended);
    assert_eq!(stage.post(&suspended.unwrap()), 204);
    wait_until("it is decided", || sql(&target).is_settled());
    assert_eq!(target.deliveries(), kept + 1);
    assert!(!stage.may_charge("card"));
}

/// Makes a database useless.
fn damage(stage: &Stage, backend: Backend) {
    stage.systemctl("stop");
    match backend {
        Backend::Sqlite => std::fs::write(stage.database.file(), "no database").unwrap(),
        Backend::Postgres => {
            sql(&stage.database).execute("DROP TABLE notifications, cards CASCADE")
        }
    }
}

#[rstest]
fn a_copy_in_the_place_of_a_lost_database_learns_what_came_after_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    stage.card("card");
    stage.set_variable("CARD", "card");
    stage.set_variable("COPY", &stage.path("copy").to_string_lossy());
    let [back_up] = stage.steps("Back up");
    stage.take(&back_up);
    stage
        .sandbox
        .set_status("card", CardStatus::Suspended)
        .unwrap();
    wait_until("it is known", || !stage.may_charge("card"));
    damage(&stage, backend);

    let [look, put, start, go_on, see] = stage.steps("Restore a backup");
    stage.take(&look);
    stage.take(&put);
    stage.take(&start);
    assert!(
        stage.may_charge("card"),
        "what came after the copy is not known yet"
    );
    stage.take(&go_on);
    stage.look(&see);
    assert!(!stage.may_charge("card"));
}

//! The operator's guide about the database and the service on it: each task as it is written.

use rstest::rstest;
use tokenkeep::telemetry::Clock;

use crate::support::Backend;
use crate::support::build::{plain, status};
use crate::support::sql::sql;
use crate::support::stage::Stage;

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
    let notification = plain(&[status("card", Some(Clock::system().now()), "SUSPENDED")]);
    let [look, see] = stage.steps("The database is down or full");
    sql(&stage.database).take_away();
    stage.take(&look);
    assert_eq!(stage.post(&notification), 503);
    sql(&stage.database).bring_back();
    stage.take(&see);
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
    stage.take(&see);
    assert!(stage.may_charge("third"));
}

//! The operator's guide about what no notification told of: the task as it is written.

use rstest::rstest;
use tokenkeep::sandbox::CardStatus;

use crate::operations::wait_for_call;
use crate::support::sql::sql;
use crate::support::stage::Stage;
use crate::support::{Backend, wait_until};

#[rstest]
fn a_card_that_missed_its_resumption_is_found_and_put_right(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut stage = Stage::open(backend);
    stage.card("asleep");
    wait_for_call(&stage, "cryptogram", "done");
    stage
        .sandbox
        .set_status("asleep", CardStatus::Suspended)
        .unwrap();
    let noted = "SELECT count(*) AS number FROM cards WHERE suspended_since IS NOT NULL";
    wait_until("it is suspended", || stage.database.number(noted) == 1);
    stage.sandbox.send_to(None);
    stage
        .sandbox
        .set_status("asleep", CardStatus::Active)
        .unwrap();
    let forty_days = 40_i64 * 86_400_000;
    sql(&stage.database).execute(&format!(
        "UPDATE cards SET suspended_since = suspended_since - {forty_days}"
    ));
    stage.set_variable("CARD", "asleep");

    let [look, ask, see] = stage.steps("Something seems to have been missed");
    stage.take(&look);
    stage.take(&ask);
    stage.look(&see);
    assert!(stage.may_charge("asleep"));
}

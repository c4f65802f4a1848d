//! D-31: no table stays behind, and what is sealed opens where it arrives.

use serde_json::json;
use tokenkeep::api::access::AccessRole;

use crate::moving::there_and_back;
use crate::support::api::Ask;
use crate::support::commands::tokenkeep;
use crate::support::every_status::shop;
use crate::support::sql::sql;
use crate::support::{Backend, TestDatabase};

/// A move begins it where it comes from, and does not bring it along.
const LEFT_BEHIND: &str = "maintenance";

fn tables(database: &TestDatabase) -> Vec<String> {
    sql(database).texts(
        "SELECT name AS text FROM sqlite_master WHERE type = 'table' \
         AND name NOT LIKE 'sqlite%' AND name <> '__diesel_schema_migrations' ORDER BY name",
    )
}

#[test]
fn d31_every_table_there_is_arrives_with_its_rows_and_numbers_open_there() {
    let mut shop = shop(Backend::Sqlite);
    // One row at least in each table that cards of every status leave empty.
    let item = shop.app.notifications("active")[0].id.clone();
    for command in [
        &["notifications", "replay", &item, "--reason", "why"][..],
        &["cards", "hold", "suspended", "--reason", "a dispute"],
    ] {
        let output = tokenkeep(&shop.app.database, command);
        assert_eq!(output.code, 0, "{output:?}");
    }
    let registered = shop.app.ask(&Ask {
        method: "PUT",
        path: "/v1/cards/active",
        key: &shop.app.new_key(AccessRole::App, "shop-again"),
        headers: &["Idempotency-Key: one"],
        body: &json!({ "program": "shop" }).to_string(),
    });
    assert_eq!(registered.status, 200, "{}", registered.body);
    let number = shop.sandbox.card("active").unwrap().number;
    shop.app.stop();

    let all = tables(&shop.app.database);
    let (file, rows) = there_and_back(&shop.app.database);
    assert_eq!(tables(&file), all);
    for table in all.iter().filter(|table| *table != LEFT_BEHIND) {
        assert_ne!(
            sql(&shop.app.database).count(table),
            0,
            "no row of {table} to move"
        );
        assert_ne!(sql(&file).count(table), 0, "nothing arrives of {table}");
    }
    assert_eq!(sql(&file).count(LEFT_BEHIND), 0);

    // The old database has no cryptogram any more that could be handed out there, too.
    let runs_out = "SELECT CAST(expires_at AS TEXT) AS text FROM cryptograms";
    let left = sql(&shop.app.database).texts(runs_out);
    assert!(left.iter().all(|at| at == "0"), "{left:?}");
    shop.app.settings.database_url = file.url();
    shop.app.start();
    let credentials = shop.credentials("active", &json!({ "use": "single" }));
    assert_eq!(credentials.status, 200, "{}", credentials.body);
    assert_eq!(credentials.json()["paymentToken"], number.expose());
    assert!(credentials.json()["cryptogram"].is_string());
    shop.app.assert_rebuilt();
    let moved = all.len() - 1;
    println!("D-31 {moved} of {moved} tables arrive, {rows} rows; the numbers open there");
}

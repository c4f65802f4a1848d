//! Sealed values belong to their rows; cryptograms to their number.

use rstest::rstest;
use tokenkeep::domain::CardId;
use tokenkeep::store::StoreError;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::sql::sql;
use crate::support::{App, Backend, START};

const OTHER: &str = "another-card";

/// Two cards with different numbers, of the same number version.
fn app_with_two_cards(backend: Backend) -> App {
    let app = App::spawn(backend);
    app.deliver(&plain(&[
        refresh(CARD, START - 9_000, NUMBER_1, ("12", "2031")),
        refresh(OTHER, START - 9_000, NUMBER_2, ("12", "2031")),
    ]));
    app
}

fn read(app: &App, id: &str) -> Result<String, StoreError> {
    let id = CardId::parse(id).unwrap();
    let row = app.store().read(|tx| tx.card(&id))?.unwrap();
    Ok(row.card.token.as_ref().unwrap().number.expose().to_owned())
}

fn is_refused(app: &App, id: &str) -> bool {
    matches!(read(app, id), Err(StoreError::Sealed(_)))
}

fn set_number(app: &App, value: &str) {
    let statement = format!("UPDATE tokens SET number = {value} WHERE card_id = '{CARD}'");
    sql(&app.database).execute(&statement);
}

#[rstest]
fn p07_a_sealed_number_moved_to_another_card_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_two_cards(backend);
    assert_eq!(read(&app, CARD).unwrap(), NUMBER_1);
    let take_from = |which: &str| {
        sql(&app.database).execute(&format!(
            "UPDATE tokens SET number = \
             (SELECT number FROM aside WHERE aside.card_id {which} tokens.card_id)"
        ));
    };
    sql(&app.database).execute("CREATE TABLE aside AS SELECT card_id, number FROM tokens");
    take_from("<>");
    assert!(is_refused(&app, CARD) && is_refused(&app, OTHER));
    // Back in their places they open.
    take_from("=");
    assert_eq!(read(&app, CARD).unwrap(), NUMBER_1);
    assert_eq!(read(&app, OTHER).unwrap(), NUMBER_2);
    // Nor does the value of another column or table open there.
    for column in ["content", "payment"] {
        let value = format!("(SELECT {column} FROM notifications WHERE card_id = '{CARD}')");
        set_number(&app, &value);
        assert!(is_refused(&app, CARD), "{column}");
    }
}

#[rstest]
fn p07_a_number_or_cryptogram_put_back_under_a_later_number_is_refused_and_told(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_two_cards(backend);
    app.store_cryptogram(CARD);
    sql(&app.database).execute(
        "CREATE TABLE earlier AS SELECT * FROM tokens; \
         CREATE TABLE earlier_cryptograms AS SELECT * FROM cryptograms",
    );
    app.deliver(&plain(&[refresh(
        CARD,
        START - 8_000,
        NUMBER_2,
        ("12", "2031"),
    )]));
    app.store_cryptogram(CARD);
    sql(&app.database).execute("CREATE TABLE later AS SELECT * FROM tokens");
    assert_eq!(read(&app, CARD).unwrap(), NUMBER_2);
    let set = |columns: &[&str], from: &str| {
        let of = |column: &&str| {
            format!("{column} = (SELECT {column} FROM {from} WHERE card_id = '{CARD}')")
        };
        let sets = columns.iter().map(of).collect::<Vec<_>>().join(", ");
        sql(&app.database).execute(&format!(
            "UPDATE tokens SET {sets} WHERE card_id = '{CARD}'"
        ));
    };
    // The number of version 1 under version 2.
    set(&["number"], "earlier");
    assert!(is_refused(&app, CARD));
    set(&["number"], "later");
    assert_eq!(read(&app, CARD).unwrap(), NUMBER_2);
    // The same of the cryptogram.
    let id = CardId::parse(CARD).unwrap();
    let take = || app.store().rehearse(|tx| tx.take_cryptogram(&id));
    assert!(take().unwrap().is_some());
    sql(&app.database)
        .execute("UPDATE cryptograms SET value = (SELECT value FROM earlier_cryptograms)");
    assert!(matches!(take(), Err(StoreError::Sealed(_))));
    // The whole row of version 1, with its version.
    sql(&app.database).execute("DELETE FROM cryptograms");
    set(&["number", "number_version", "rank"], "earlier");
    assert!(is_refused(&app, CARD));
    // It is told: to who asks for the card, in the verdicts, and in what is counted.
    assert_eq!(app.get(&format!("/v1/cards/{CARD}")).status, 500);
    app.deliver(&plain(&[status(CARD, Some(START - 5_000), "SUSPENDED")]));
    let verdicts = app.verdicts(CARD);
    assert_eq!(verdicts.last().unwrap(), "quarantined(processing-failed)");
    let series = "tokenkeep_items_total{verdict=\"quarantined\",hold=\"processing-failed\"} 1";
    let metrics = app.get("/metrics").text;
    assert!(metrics.lines().any(|line| line == series), "{metrics}");
    println!("P-07 {backend:?}: 3 of 3 values of an earlier number refused, told in 3 places");
}

#[rstest]
fn p07_a_shortened_or_changed_sealed_number_is_refused(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_two_cards(backend);
    let (shown, before, after) = match backend {
        Backend::Sqlite => ("hex(number)", "x'", "'"),
        Backend::Postgres => ("encode(number, 'hex')", "decode('", "', 'hex')"),
    };
    let query = format!("SELECT {shown} AS text FROM tokens WHERE card_id = '{CARD}'");
    let hex = sql(&app.database).texts(&query).remove(0);
    let set = |hex: &str| set_number(&app, &format!("{before}{hex}{after}"));
    for kept in 0..hex.len() / 2 {
        set(&hex[..2 * kept]);
        assert!(is_refused(&app, CARD), "cut to {kept} bytes");
    }
    for place in 0..hex.len() {
        let mut changed = hex.clone();
        let digit = if &hex[place..=place] == "0" { "1" } else { "0" };
        changed.replace_range(place..=place, digit);
        set(&changed);
        assert!(is_refused(&app, CARD), "digit {place} changed");
    }
    set(&hex);
    assert_eq!(read(&app, CARD).unwrap(), NUMBER_1);
}

#[rstest]
fn p03_the_database_itself_refuses_a_cryptogram_of_another_number(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with_two_cards(backend);
    let byte = sql(&app.database).byte();
    let insert = |card: &str, version: i32| {
        let columns = "card_id, number_version, value, stored_at";
        format!("INSERT INTO cryptograms ({columns}) VALUES ('{card}', {version}, {byte}, 0)")
    };
    assert!(!sql(&app.database).is_accepted(&insert(CARD, 2)));
    assert!(!sql(&app.database).is_accepted(&insert("nobody", 1)));
    assert!(sql(&app.database).is_accepted(&insert(CARD, 1)));
    let new_version = format!("UPDATE tokens SET number_version = 2 WHERE card_id = '{CARD}'");
    assert!(
        !sql(&app.database).is_accepted(&new_version),
        "the cryptogram must go first"
    );
}

//! `rebuild --check`: what is told of cards that differ, that are not there, and that take long.

use rstest::rstest;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh};
use crate::support::commands::tokenkeep;
use crate::support::sql::sql;
use crate::support::{App, Backend, START};

const EXPIRY: (&str, &str) = ("12", "2031");

#[rstest]
fn a_card_that_nobody_heard_of_is_said_to_be_none_after_what_was_found(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh(CARD, START - 9_000, NUMBER_1, EXPIRY)]));
    app.deliver(&plain(&[refresh(CARD, START - 5_000, NUMBER_2, EXPIRY)]));
    let check = |cards: &[&str]| {
        let cards = cards.iter().flat_map(|card| ["--card", card]);
        tokenkeep(
            &app.database,
            &Vec::from_iter(["rebuild", "--check", "--json"].into_iter().chain(cards)),
        )
    };
    let none = check(&["nobody"]);
    assert_eq!((none.code, &*none.stdout), (2, ""), "{none:?}");
    assert!(
        none.stderr.contains("nobody: there is no such card"),
        "{none:?}"
    );

    let database = sql(&app.database);
    database.execute("UPDATE tokens SET checkout_wanted = '\"expiry_changed\"'");
    let both = check(&[CARD, "nobody"]);
    assert_eq!(both.code, 2, "{both:?}");
    assert!(
        both.stderr.contains("nobody: there is no such card"),
        "{both:?}"
    );
    let difference = &both.json()["differences"][0];
    assert_eq!(difference["register"], "token.checkoutWanted");
    assert_eq!(difference["stored"], "expiry changed");
    assert_eq!(difference["recomputed"], "number changed");

    // One whose inputs are there is missed.
    database.execute("DELETE FROM tokens");
    database.execute("DELETE FROM cards");
    let missed = check(&[CARD]);
    assert_eq!(missed.code, 1, "{missed:?}");
    assert_eq!(missed.json()["differences"][0]["stored"], "no row");
}

/// In the place of a table that takes longer to look through than a statement may.
const SLOWLY: &str = "ALTER TABLE answers RENAME TO answers_behind; \
    CREATE VIEW answers AS SELECT * FROM (SELECT a.* FROM (SELECT pg_sleep(4) AS x OFFSET 0) s \
    LEFT JOIN answers_behind a ON s.x IS NOT NULL OFFSET 0) slowly";

#[test]
fn the_look_for_cards_without_a_row_has_as_much_time_as_it_needs() {
    let app = App::spawn(Backend::Postgres);
    sql(&app.database).execute(SLOWLY);
    let checked = tokenkeep(&app.database, &["rebuild", "--check", "--json"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert_eq!(checked.json()["cards"], 0);
}

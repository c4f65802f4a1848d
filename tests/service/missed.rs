//! Cards of which something seems to have been missed: each kind from its threshold on, and no card that is
//! as it should be.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::{CardId, CryptogramPolicy, Missed};
use tokenkeep::settings::{PolicySettings, ProgramSettings};
use tokenkeep::store::{MissedCard, MissedCursor};

use crate::support::build::{NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::calls::{HOUR, MINUTE, SERVICE, program};
use crate::support::commands::tokenkeep;
use crate::support::sql::sql;
use crate::support::{App, Backend, START, wait_until};

pub const DAY: i64 = 24 * HOUR;
const FAR: (&str, &str) = ("12", "2031");
/// Ends 2026-09-01T00:00:00Z.
const SOON: (&str, &str) = ("08", "2026");
const SOON_ENDS: i64 = 1_788_220_800_000;

/// A merchant with a Checkout program whose other side does not answer, and a bank.
pub fn app(backend: Backend) -> App {
    app_with(backend, |_| {})
}

fn app_with(backend: Backend, change: impl FnOnce(&mut PolicySettings)) -> App {
    App::spawn_with(backend, |settings| {
        let shop = program("http://127.0.0.1:1", SERVICE, &json!({}));
        settings.programs.insert("shop".to_owned(), shop);
        let bank = json!({ "kind": "alliance", "base_url": "http://127.0.0.1:1" });
        let bank: ProgramSettings = serde_json::from_value(bank).unwrap();
        settings.programs.insert("bank".to_owned(), bank);
        change(&mut settings.policy);
    })
}

fn register(app: &App, card: &str, body: &Value) {
    let answer = app.put(&format!("/v1/cards/{card}"), body);
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
}

pub fn cards(app: &App, kind: Missed) -> Vec<MissedCard> {
    let now = app.clock.load(std::sync::atomic::Ordering::SeqCst);
    let rules = app.settings.missed_rules();
    let (found, counts) = app
        .store()
        .read(|tx| {
            let found = tx.missed_cards(kind, &rules, now, None, 100)?;
            for card in &found {
                let of_card = tx.missed_of(&CardId::parse(&card.card_id).unwrap(), &rules, now)?;
                assert!(of_card.contains(&(kind, card.since)), "{card:?}");
            }
            Ok((found, tx.count_missed(&rules, now)?))
        })
        .unwrap();
    let count = counts.iter().find(|(it, _)| *it == kind);
    assert_eq!(count.map_or(0, |(_, count)| *count), found.len() as i64);
    found
}

/// The cards that are found, with the time since when.
fn found(app: &App, kind: Missed) -> Vec<(String, i64)> {
    let found = cards(app, kind).into_iter();
    found.map(|card| (card.card_id, card.since)).collect()
}

fn told(expected: &[(&str, i64)]) -> Vec<(String, i64)> {
    let told = expected
        .iter()
        .map(|(card, since)| ((*card).to_owned(), *since));
    told.collect()
}

/// Moves the clock to this time.
fn go_to(app: &App, time: i64) {
    app.clock.store(time, std::sync::atomic::Ordering::SeqCst);
}

#[rstest]
fn a_card_suspended_for_so_many_days_is_found_until_it_is_resumed_or_ends(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app(backend);
    app.deliver(&plain(&[
        status("long", Some(START), "SUSPENDED"),
        status("ends", Some(START), "SUSPENDED"),
        status("active", Some(START), "ACTIVE"),
        status("unclear", Some(START), "DORMANT"),
    ]));
    app.advance(DAY);
    // Said again it has been suspended for as long as before.
    app.deliver(&plain(&[
        status("long", Some(START + DAY), "SUSPENDED"),
        status("later", Some(START + DAY), "SUSPENDED"),
    ]));
    go_to(&app, START + 30 * DAY - 1);
    assert_eq!(found(&app, Missed::SuspendedLong), []);
    go_to(&app, START + 30 * DAY);
    let both = told(&[("ends", START), ("long", START)]);
    assert_eq!(found(&app, Missed::SuspendedLong), both);
    let now = START + 31 * DAY;
    go_to(&app, now);
    assert_eq!(found(&app, Missed::SuspendedLong).len(), 3);
    app.deliver(&plain(&[
        status("long", Some(now), "ACTIVE"),
        status("ends", Some(now), "CANCELLED"),
    ]));
    let left = told(&[("later", START + DAY)]);
    assert_eq!(found(&app, Missed::SuspendedLong), left);
    // Suspended anew it begins anew.
    app.deliver(&plain(&[status("long", Some(now + 1), "SUSPENDED")]));
    assert_eq!(found(&app, Missed::SuspendedLong), left);
}

#[rstest]
fn an_active_card_whose_token_ends_soon_is_found_unless_its_token_was_told_of_lately(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app(backend);
    app.deliver(&plain(&[
        refresh("refreshed", START, NUMBER_1, SOON),
        refresh("far", START, NUMBER_1, FAR),
        refresh("ended", START, NUMBER_1, SOON),
        refresh("suspended", START, NUMBER_1, SOON),
        status("registered", Some(START), "ACTIVE"),
        status("tokenless", Some(START), "ACTIVE"),
        status("suspended", Some(START + 1), "SUSPENDED"),
        status("ended", Some(START + 1), "CANCELLED"),
    ]));
    let (month, year) = SOON;
    let token = json!({ "paymentToken": NUMBER_2, "tokenExpirationMonth": month, "tokenExpirationYear": year });
    let registration = json!({ "program": "shop", "token": token });
    register(&app, "registered", &registration);

    // What the merchant registered nobody has told of; the others were told of 30 days ago, then.
    let near = SOON_ENDS - 30 * DAY;
    go_to(&app, near - 1);
    assert_eq!(found(&app, Missed::TokenExpires), []);
    go_to(&app, near);
    assert_eq!(
        found(&app, Missed::TokenExpires),
        told(&[("registered", near)])
    );
    go_to(&app, START + 30 * DAY - 1);
    assert_eq!(found(&app, Missed::TokenExpires).len(), 1);
    let now = START + 30 * DAY;
    go_to(&app, now);
    let both = told(&[("refreshed", now), ("registered", near)]);
    assert_eq!(found(&app, Missed::TokenExpires), both);

    // A refresh came: with a later end for the one, with the same for the other.
    app.deliver(&plain(&[
        refresh("refreshed", now, NUMBER_1, FAR),
        refresh("registered", now, NUMBER_2, SOON),
    ]));
    assert_eq!(found(&app, Missed::TokenExpires), []);
    // It has ended meanwhile: it is found all the same.
    go_to(&app, now + 30 * DAY);
    let ended = told(&[("registered", SOON_ENDS)]);
    assert_eq!(found(&app, Missed::TokenExpires), ended);
}

#[rstest]
fn a_token_that_has_ended_is_found_for_so_many_days_whatever_was_told_of_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app(backend);
    let told_at = SOON_ENDS - 10 * DAY;
    go_to(&app, told_at);
    app.deliver(&plain(&[refresh("card", told_at, NUMBER_1, SOON)]));
    go_to(&app, SOON_ENDS - 1);
    assert_eq!(found(&app, Missed::TokenExpires), []);
    let since = told(&[("card", SOON_ENDS)]);
    for later in [0, 30 * DAY] {
        go_to(&app, SOON_ENDS + later);
        assert_eq!(found(&app, Missed::TokenExpires), since);
    }
    go_to(&app, SOON_ENDS + 30 * DAY + 1);
    assert_eq!(found(&app, Missed::TokenExpires), [], "long ago");
}

#[rstest]
fn a_cryptogram_that_is_due_for_so_many_minutes_is_found_where_it_should_be_there(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app(backend);
    for card in ["waits", "gets", "ends", "pauses"] {
        register(&app, card, &json!({ "program": "shop" }));
    }
    register(&app, "at-the-bank", &json!({ "program": "bank" }));
    let refreshed = ["waits", "gets", "ends", "pauses", "at-the-bank", "stray"];
    let refreshes = refreshed.map(|card| refresh(card, START, NUMBER_1, FAR));
    app.deliver(&plain(&refreshes));
    app.deliver(&plain(&[status("tokenless", Some(START), "ACTIVE")]));

    go_to(&app, START + 30 * MINUTE - 1);
    assert_eq!(found(&app, Missed::CryptogramMissing), []);
    go_to(&app, START + 30 * MINUTE);
    let all = ["ends", "gets", "pauses", "waits"].map(|card| (card, START));
    assert_eq!(found(&app, Missed::CryptogramMissing), told(&all));
    app.store_cryptogram("gets");
    let now = START + HOUR;
    go_to(&app, now);
    app.deliver(&plain(&[
        status("ends", Some(now), "CANCELLED"),
        status("pauses", Some(now), "SUSPENDED"),
    ]));
    let left = told(&[("waits", START)]);
    assert_eq!(found(&app, Missed::CryptogramMissing), left);
    // Due again from when it may be charged again; another refresh makes the other no younger.
    app.deliver(&plain(&[
        status("pauses", Some(now + 1), "ACTIVE"),
        refresh("waits", now, NUMBER_2, FAR),
    ]));
    assert_eq!(found(&app, Missed::CryptogramMissing), left);
    go_to(&app, now + 30 * MINUTE);
    let both = told(&[("waits", START), ("pauses", now)]);
    assert_eq!(found(&app, Missed::CryptogramMissing), both);
}

#[rstest]
fn no_cryptogram_is_missing_where_they_are_obtained_on_demand(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app_with(backend, |policy| {
        policy.cryptogram = CryptogramPolicy::OnDemand
    });
    register(&app, "card", &json!({ "program": "shop" }));
    app.deliver(&plain(&[refresh("card", START, NUMBER_1, FAR)]));
    go_to(&app, START + DAY);
    assert_eq!(found(&app, Missed::CryptogramMissing), []);
}

/// An item with these masked digits of its token.
fn masked(mut item: Value, digits: &str) -> Value {
    item["maskedCard"]["tokenLastFour"] = digits.into();
    item
}

#[rstest]
fn masked_digits_that_are_not_the_tokens_are_found_unless_they_are_outdated(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app(backend);
    app.deliver(&plain(&[
        masked(refresh("same-item", START, NUMBER_1, FAR), "9999"),
        masked(refresh("agrees", START, NUMBER_1, FAR), "11"),
        masked(refresh("outdated", START - 1, NUMBER_1, FAR), "0011"),
        refresh("outdated", START, NUMBER_2, FAR),
        refresh("newer", START - 1, NUMBER_1, FAR),
        masked(status("newer", Some(START), "SUSPENDED"), "0022"),
        masked(refresh("ended", START - 1, NUMBER_1, FAR), "9999"),
        status("ended", Some(START), "CANCELLED"),
        masked(status("tokenless", Some(START), "ACTIVE"), "0011"),
    ]));
    go_to(&app, START + HOUR - 1);
    assert_eq!(found(&app, Missed::DigitsDisagree), []);
    go_to(&app, START + HOUR);
    let both = told(&[("newer", START), ("same-item", START)]);
    assert_eq!(found(&app, Missed::DigitsDisagree), both);
    app.deliver(&plain(&[
        masked(status("same-item", Some(START + HOUR), "ACTIVE"), "0011"),
        refresh("newer", START + HOUR, NUMBER_2, FAR),
    ]));
    assert_eq!(found(&app, Missed::DigitsDisagree), []);
}

#[rstest]
fn a_kind_whose_time_is_0_is_not_looked_for(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = app(backend);
    app.deliver(&plain(&[status("long", Some(START), "SUSPENDED")]));
    go_to(&app, START + 300 * DAY);
    assert_eq!(found(&app, Missed::SuspendedLong).len(), 1);
    app.settings.missed.suspended_days = 0;
    assert_eq!(found(&app, Missed::SuspendedLong), []);
}

#[rstest]
fn cards_from_before_the_signs_were_kept_are_found_once_a_service_has_run_even_during_maintenance(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(false, true)] is_maintained: bool,
) {
    let mut app = app(backend);
    app.deliver(&plain(&[
        masked(refresh("disagrees", START, NUMBER_1, SOON), "9999"),
        status("long", Some(START), "SUSPENDED"),
        status("damaged", Some(START), "SUSPENDED"),
    ]));
    app.stop();
    sql(&app.database).execute(
        "UPDATE cards SET token_ends_at = NULL, token_told_at = 0, suspended_since = NULL, \
         cryptogram_due_since = NULL, digits_disagree_since = NULL, signs_noted = FALSE; \
         UPDATE cards SET state = 'broken' WHERE id = 'damaged'",
    );
    go_to(&app, START + 60 * DAY);
    if is_maintained {
        let on = ["maintenance", "on", "--reason", "an upgrade"];
        assert_eq!(tokenkeep(&app.database, &on).code, 0);
    }
    app.start();
    let without = "SELECT count(*) AS number FROM cards WHERE NOT signs_noted";
    wait_until("all signs are noted", || app.database.number(without) == 0);
    assert_eq!(found(&app, Missed::SuspendedLong), told(&[("long", START)]));
    assert_eq!(
        found(&app, Missed::DigitsDisagree),
        told(&[("disagrees", START)])
    );
    assert_eq!(found(&app, Missed::TokenExpires).len(), 1);
}

#[rstest]
fn a_list_page_by_page_shows_each_card_once_the_longest_first(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = app(backend);
    for (time, ids) in [
        (0, ["b", "a.1", "d"]),
        (5, ["c", "a", "e"]),
        (9, ["f", "-g", "h"]),
    ] {
        go_to(&app, START + time);
        let items = ids.map(|id| status(id, Some(START), "SUSPENDED"));
        app.deliver(&plain(&items));
    }
    go_to(&app, START + 40 * DAY);
    let all = cards(&app, Missed::SuspendedLong);
    assert_eq!(all.len(), 9);
    assert!(all.is_sorted_by_key(|card| card.since));
    let rules = app.settings.missed_rules();
    for limit in [1, 2, 3, 8] {
        let (mut paged, mut after) = (Vec::new(), None::<MissedCursor>);
        loop {
            let look = app.store().read(|tx| {
                let now = START + 40 * DAY;
                tx.missed_cards(Missed::SuspendedLong, &rules, now, after.as_ref(), limit)
            });
            let page = look.unwrap();
            let Some(last) = page.last() else { break };
            // As a page's address carries it.
            after = MissedCursor::parse(&last.cursor.to_string());
            paged.extend(page);
        }
        assert_eq!(paged, all, "{limit} a page");
    }
}

//! Registrations before and after notifications, under both policies for unknown cards.

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::domain::UnknownCardPolicy;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::{App, Backend, START, wait_until};

fn spawn(backend: Backend, policy: UnknownCardPolicy) -> App {
    App::spawn_with(backend, |settings| settings.policy.unknown_card = policy)
}

fn registration(number: Option<&str>) -> Value {
    let mut body = json!({ "program": "shop", "consumerReference": "consumer-7" });
    if let Some(number) = number {
        body["token"] = json!({
            "paymentToken": number, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
        });
    }
    body
}

#[rstest]
fn a_notification_for_an_unknown_card_is_parked_and_a_later_registration_lets_it_apply_once(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = spawn(backend, UnknownCardPolicy::Park);
    let body = plain(&[refresh(CARD, START - 1_000, NUMBER_1, ("12", "2031"))]);
    app.deliver(&body);
    app.deliver(&body);
    assert_eq!(app.get(&format!("/v1/cards/{CARD}")).status, 404);
    assert_eq!(app.verdicts(CARD).len(), 2);
    assert!(
        app.verdicts(CARD)
            .iter()
            .all(|verdict| verdict == "parked(unknown-card)")
    );
    assert!(app.jobs(CARD).is_empty());

    let path = format!("/v1/cards/{CARD}");
    assert_eq!(app.put(&path, &registration(None)).status, 201);
    wait_until("the parked notification is applied", || {
        app.verdicts(CARD) == ["applied", "duplicate"]
    });
    let card = app.get(&path).json();
    assert_eq!(card["token"]["lastFour"], NUMBER_1[12..]);
    assert_eq!(card["program"], "shop");
    let kept = app.card(CARD).unwrap().card;
    assert_eq!((kept.version, kept.number_version), (1, 1));
    assert_eq!(app.due_cryptograms(CARD), [1]);
    // Registered again, nothing is applied again.
    assert_eq!(app.put(&path, &registration(None)).status, 200);
    app.settle();
    assert_eq!(app.card(CARD).unwrap().card.version, 1);
    assert_eq!(app.due_cryptograms(CARD), [1]);
}

#[rstest]
fn a_registration_wakes_only_its_own_card_in_a_delivery_of_several(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = spawn(backend, UnknownCardPolicy::Park);
    app.deliver(&plain(&[
        status("one", Some(START - 1_000), "ACTIVE"),
        status("two", Some(START - 1_000), "SUSPENDED"),
    ]));
    app.put("/v1/cards/two", &registration(None));
    wait_until("the second card's item is applied", || {
        app.verdicts("two") == ["applied"]
    });
    app.settle();
    assert_eq!(app.verdicts("one"), ["parked(unknown-card)"]);
    app.put("/v1/cards/one", &registration(None));
    wait_until("the first card's item is applied", || {
        app.verdicts("one") == ["applied"]
    });
    assert_eq!(app.verdicts("two"), ["applied"]);
}

/// What is left in the end, without the counts that may depend on the order of arrival.
fn end_state(app: &App, card: &str) -> Value {
    let mut shown = app.get(&format!("/v1/cards/{card}")).json();
    let kept = app.card(card).unwrap().card;
    let number = kept
        .token
        .as_ref()
        .map(|token| token.number.expose().to_owned());
    for name in ["version", "numberVersion"] {
        shown["token"][name].take();
    }
    shown["cardId"].take();
    shown["maskedCard"]["srcDigitalCardId"].take();
    json!({
        "shown": shown,
        "number": number,
        "cryptogramIsDue": kept.cryptogram_is_due(),
    })
}

fn notify_and_register(app: &App, card: &str, number: Option<&str>, registered_first: bool) {
    let path = format!("/v1/cards/{card}");
    let body = plain(&[refresh(card, START - 1_000, NUMBER_1, ("12", "2031"))]);
    if registered_first {
        assert_eq!(app.put(&path, &registration(number)).status, 201);
        app.deliver(&body);
    } else {
        app.deliver(&body);
        app.put(&path, &registration(number));
        applied_to(app, card);
    }
}

fn applied_to(app: &App, card: &str) {
    wait_until("the notification is decided for good", || {
        let verdicts = app.verdicts(card);
        verdicts.len() == 1 && !verdicts[0].ends_with(')')
    });
}

#[rstest]
#[case::without_a_token("none", None)]
#[case::with_the_same_token("same", Some(NUMBER_1))]
#[case::with_another_token("other", Some(NUMBER_2))]
fn s10_registration_and_notification_end_in_one_state_in_either_order_under_either_policy(
    #[case] name: &str,
    #[case] number: Option<&str>,
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut ends = Vec::new();
    for policy in [UnknownCardPolicy::Adopt, UnknownCardPolicy::Park] {
        let app = spawn(backend, policy);
        for registered_first in [true, false] {
            let card = format!("{name}-{registered_first}");
            notify_and_register(&app, &card, number, registered_first);
            ends.push(((policy, registered_first), end_state(&app, &card)));
        }
    }
    let (_, expected) = ends[0].clone();
    for (way, end) in &ends {
        assert_eq!(*end, expected, "{way:?}");
    }
    assert_eq!(expected["number"], NUMBER_1);
    assert_eq!(expected["shown"]["consumerReference"], "consumer-7");
    assert_eq!(expected["shown"]["status"], "ACTIVE");
}

#[rstest]
fn s10_calls_for_cryptograms_wait_exactly_where_one_is_due(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(None, Some(NUMBER_1), Some(NUMBER_2))] number: Option<&str>,
) {
    for policy in [UnknownCardPolicy::Adopt, UnknownCardPolicy::Park] {
        let app = spawn(backend, policy);
        for registered_first in [true, false] {
            notify_and_register(
                &app,
                &format!("{registered_first}"),
                number,
                registered_first,
            );
            let card = format!("{registered_first}");
            let is_due = app.card(&card).unwrap().card.cryptogram_is_due();
            assert_eq!(is_due, number != Some(NUMBER_1));
            let waiting = app.due_cryptograms(&card).len();
            assert_eq!(
                waiting,
                usize::from(is_due),
                "{policy:?}, registered first: {card}"
            );
        }
    }
}

#[rstest]
fn s10_races_of_registration_and_notification_end_in_one_state(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[values(UnknownCardPolicy::Adopt, UnknownCardPolicy::Park)] policy: UnknownCardPolicy,
) {
    let app = spawn(backend, policy);
    notify_and_register(&app, "model", Some(NUMBER_2), true);
    let expected = end_state(&app, "model");
    for race in 0..25 {
        let card = format!("race-{race}");
        let body = plain(&[refresh(&card, START - 1_000, NUMBER_1, ("12", "2031"))]);
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(app.notify(&body).status, 204));
            let path = format!("/v1/cards/{card}");
            let answer = app.put(&path, &registration(Some(NUMBER_2)));
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text);
        });
        applied_to(&app, &card);
        assert_eq!(end_state(&app, &card), expected, "{card}");
    }
}

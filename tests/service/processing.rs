//! Processing: what one process kept is decided by another, nothing twice, however much waits.

use rstest::rstest;
use serde_json::Value;
use tokenkeep::commands::Service;
use tokenkeep::settings::Role;
use tokenkeep::store::NewDelivery;
use tokenkeep::telemetry::Clock;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::{App, Backend, Client, START, wait_until};

/// Another service on the database of this one.
fn beside(app: &App, roles: &[Role]) -> Service {
    let mut settings = app.settings.clone();
    settings.roles = roles.to_vec();
    Service::start(&settings, Clock::from_fn(|| START)).unwrap()
}

fn receiving(backend: Backend) -> App {
    App::spawn_with(backend, |settings| settings.roles = vec![Role::Receive])
}

#[rstest]
fn what_a_receiving_process_kept_is_decided_by_a_processing_one_that_starts_later(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = receiving(backend);
    let older = refresh(CARD, START - 2_000, NUMBER_1, ("12", "2031"));
    let newer = refresh(CARD, START - 1_000, NUMBER_2, ("12", "2031"));
    for element in [older, newer] {
        assert_eq!(app.notify(&plain(&[element])).status, 204);
    }
    app.stop();
    app.settings.roles = vec![Role::Process];
    app.start();
    assert!(app.service().public.is_none(), "it receives nothing");
    app.settle();
    assert_eq!(app.verdicts(CARD), ["applied", "applied"]);
    let card = app.card(CARD).unwrap().card;
    assert_eq!((card.version, card.number_version), (2, 2));
}

#[rstest]
fn a_receiving_and_a_processing_process_work_side_by_side(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = receiving(backend);
    let processing = beside(&app, &[Role::Process]);
    // Nobody hints across processes: it looks by itself.
    app.deliver(&plain(&[status(CARD, Some(START - 1_000), "SUSPENDED")]));
    assert_eq!(app.verdicts(CARD), ["applied"]);
    assert_eq!(app.get("/readyz").status, 200);
    processing.stop().unwrap();
    assert_eq!(
        app.notify(&plain(&[status(CARD, Some(START), "ACTIVE")]))
            .status,
        204
    );
    assert_eq!(app.store().read(|tx| tx.count_waiting()).unwrap(), 1);
    let again = beside(&app, &[Role::Process]);
    app.settle();
    assert_eq!(app.verdicts(CARD), ["applied", "applied"]);
    again.stop().unwrap();
}

/// 500 bodies: 250 cards, each with a refresh and a later status.
fn five_hundred() -> Vec<(String, String)> {
    let of_card = |number: usize| {
        let card = format!("card-{number:03}");
        let refresh = refresh(&card, START - 2_000, NUMBER_1, ("12", "2031"));
        let status = status(&card, Some(START - 1_000), "SUSPENDED");
        [refresh, status].map(|element: Value| (card.clone(), plain(&[element]).to_string()))
    };
    (0..250).flat_map(of_card).collect()
}

#[test]
fn d18_two_services_on_one_postgresql_that_both_get_the_same_500_notifications_double_nothing() {
    let app = App::spawn(Backend::Postgres);
    let other = beside(&app, &[Role::Receive, Role::Process]);
    let urls = [
        app.receiver_url(),
        format!("http://{}/notifications/card", other.public.unwrap()),
    ];
    let bodies = five_hundred();
    std::thread::scope(|scope| {
        for url in &urls {
            for half in bodies.chunks(250) {
                scope.spawn(move || {
                    let client = Client::new();
                    for (_, body) in half {
                        assert_eq!(client.post(url, body).status, 204);
                    }
                });
            }
        }
    });
    app.settle();
    other.stop().unwrap();
    for (card, _) in bodies.iter().step_by(2) {
        let mut verdicts = app.verdicts(card);
        let duplicates = verdicts.iter().filter(|v| *v == "duplicate").count();
        verdicts.retain(|verdict| verdict != "duplicate");
        assert_eq!((verdicts.len(), duplicates), (2, 2), "{card}: {verdicts:?}");
        let kept = app.card(card).unwrap().card;
        assert_eq!((kept.version, kept.number_version), (1, 1), "{card}");
        assert_eq!(kept.status_word(), Some("SUSPENDED"), "{card}");
        assert!(app.jobs(card).len() <= 1, "{card}");
    }
}

/// A delivery of a status without a time: the order of arrival is all there is. Fifty cards take
/// turns.
fn untimed(number: usize, word: &str) -> NewDelivery {
    let element = status(&format!("card-{:02}", number % 50), None, word);
    NewDelivery {
        id: format!("delivery-{number:04}"),
        received_at: START,
        source: "mastercard".to_owned(),
        response_host: None,
        body: plain(&[element]).to_string().into_bytes(),
    }
}

#[rstest]
fn a_backlog_of_2000_deliveries_is_drained_in_the_order_of_arrival(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = receiving(backend);
    let many = (0..1_950).map(|number| untimed(number, "ACTIVE"));
    let last = (1_950..2_000).map(|number| untimed(number, "SUSPENDED"));
    let backlog: Vec<NewDelivery> = many.chain(last).collect();
    for part in backlog.chunks(250) {
        app.store().write(|tx| tx.insert_deliveries(part)).unwrap();
    }
    app.stop();
    app.settings.roles = vec![Role::Receive, Role::Process];
    app.start();
    // It goes on receiving meanwhile.
    assert_eq!(
        app.notify(&plain(&[status(CARD, None, "ACTIVE")])).status,
        204
    );
    wait_until("the backlog is drained", || {
        app.get("/readyz").json()["backlog"] == 0
    });
    for number in 0..50 {
        let card = format!("card-{number:02}");
        let verdicts = app.verdicts(&card);
        assert_eq!(verdicts.len(), 40, "{card}");
        let applied: Vec<usize> = (0..40).filter(|&at| verdicts[at] == "applied").collect();
        assert_eq!(applied, [0, 39], "{card}: {verdicts:?}");
    }
    assert_eq!(app.verdicts(CARD), ["applied"]);
}

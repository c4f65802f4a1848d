//! The search of the console finds what a list finds, however little a page looks through.

use rstest::rstest;
use tokenkeep::store::NotificationFilter;

use crate::support::build::{plain, status};
use crate::support::{App, Backend, START};

const MINUTE: i64 = 60_000;

#[rstest]
fn a_search_page_by_page_finds_exactly_what_fits_and_comes_to_an_end(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    for delivery in 0..12_i64 {
        let item = |n: i64| {
            let mut item = status(&format!("card-{}", n % 2), None, "ACTIVE");
            if delivery % 3 == 0 {
                item["reasonCode"] = "RARE".into();
            }
            item
        };
        app.deliver(&plain(&(0..3).map(item).collect::<Vec<_>>()));
        app.advance(5 * MINUTE);
    }
    let filters = [
        NotificationFilter::default(),
        NotificationFilter {
            reason: Some("RARE".to_owned()),
            ..NotificationFilter::default()
        },
        NotificationFilter {
            card_id: Some("card-1".to_owned()),
            until: Some(START + 21 * MINUTE),
            ..NotificationFilter::default()
        },
        NotificationFilter {
            since: Some(START + 20 * MINUTE),
            until: Some(START + 40 * MINUTE),
            ..NotificationFilter::default()
        },
        NotificationFilter {
            reason: Some("NEVER".to_owned()),
            until: Some(START - MINUTE),
            ..NotificationFilter::default()
        },
    ];
    for (number, filter) in filters.iter().enumerate() {
        let ids = |filter: &NotificationFilter| -> Vec<String> {
            let rows = app
                .store()
                .read(|tx| tx.list_notifications(filter))
                .unwrap();
            rows.into_iter().map(|row| row.id).collect()
        };
        let limit = 1000;
        let expected = ids(&NotificationFilter {
            limit,
            ..filter.clone()
        });
        for (most, limit) in [
            (1, 1),
            (2, 50),
            (3, 2),
            (7, 3),
            (35, 50),
            (36, 50),
            (100, 4),
        ] {
            let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let filter = NotificationFilter {
                    after,
                    limit,
                    ..filter.clone()
                };
                let page = app
                    .store()
                    .read(|tx| tx.search_notifications(&filter, most));
                let page = page.unwrap();
                found.extend(page.rows.into_iter().map(|row| row.id));
                pages += 1;
                after = page.next;
                if after.is_none() {
                    break;
                }
                assert!(pages < 100, "it does not end");
            }
            assert_eq!(found, expected, "filter {number}, {most} a page");
        }
    }
}

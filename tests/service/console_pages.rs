//! What the console's pages show, and what none of them shows.

use insta::assert_snapshot;
use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;

use crate::support::build::{NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::console::Visitor;
use crate::support::sql::sql;
use crate::support::{App, Backend, START, wait_until};

const MINUTE: i64 = 60_000;
const EXPIRY: (&str, &str) = ("12", "2031");

/// Cards in every state, with what an operator meets beside them.
fn populated(backend: Backend) -> App {
    let app = App::spawn(backend);
    let registered = json!({ "program": "shop", "consumerReference": "consumer-7" });
    assert_eq!(app.put("/v1/cards/active", &registered).status, 201);
    let items = [
        refresh("active", START - 9_000, NUMBER_1, EXPIRY),
        refresh("suspended", START - 9_000, NUMBER_2, EXPIRY),
        status("suspended", Some(START - 8_000), "SUSPENDED"),
        status("cancelled", Some(START - 9_000), "CANCELLED"),
        status("unclear", Some(START - 9_000), "DORMANT"),
    ];
    app.deliver(&plain(&items));
    app
}

fn visitor(app: &App) -> Visitor<'_> {
    app.sign_in(&app.new_key(AccessRole::Ops, "night-shift"))
}

/// A row of a table, without its tags.
fn row(page: &str, with: &str) -> String {
    let mut rows = page.split("<tr>").filter(|row| row.contains(with));
    let row = rows
        .next()
        .unwrap_or_else(|| panic!("no row with {with}: {page}"));
    let row = row.split("</tr>").next().unwrap();
    let mut text = String::new();
    let mut is_tag = false;
    for character in row.chars() {
        match character {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                text.push(' ');
            }
            other if !is_tag => text.push(other),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[rstest]
fn cards_are_found_by_id_consumer_status_and_digits_that_are_shown(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = populated(backend);
    let visitor = visitor(&app);
    let found = |query: &str| -> Vec<&str> {
        let page = visitor.page(&format!("/console/cards?{query}"));
        let all = ["active", "suspended", "cancelled", "unclear"];
        let has = |id: &&str| page.contains(&format!("/console/cards/{id}\""));
        all.into_iter().filter(has).collect()
    };
    assert_eq!(found("").len(), 4);
    assert_eq!(found("id=suspended"), ["suspended"]);
    assert_eq!(found("id=nobody"), [""; 0]);
    assert_eq!(found("consumer=consumer-7"), ["active"]);
    assert_eq!(found("status=CANCELLED"), ["cancelled"]);
    assert_eq!(found("status=unknown"), ["unclear"]);
    assert_eq!(found("last_four=0022"), ["suspended"], "of its token");
    // All four were notified with these digits of the card; only the active one shows them.
    assert_eq!(found("last_four=0747"), ["active"]);
    let wrong = visitor.open("/console/cards?id=a%20b");
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.body.contains("A card id has 1 to 64"),
        "{}",
        wrong.body
    );
}

#[rstest]
fn a_cards_page_masks_by_status_and_says_whether_it_may_be_charged(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = populated(backend);
    let visitor = visitor(&app);
    let page = |card: &str| visitor.page(&format!("/console/cards/{card}"));
    let active = page("active");
    for shown in [
        "…0747",
        "…0011",
        "Yes.",
        "Test Bank",
        "12/2031",
        "consumer-7",
        "requested",
    ] {
        assert!(active.contains(shown), "{shown}: {active}");
    }
    let suspended = page("suspended");
    for shown in ["greyed, without digits", "…0022", "suspended."] {
        assert!(suspended.contains(shown), "{shown}: {suspended}");
    }
    let cancelled = page("cancelled");
    assert!(cancelled.contains("Nothing: the card has ended."));
    for masked in [&suspended, &cancelled, &page("unclear")] {
        assert!(!masked.contains("0747"), "{masked}");
    }
    assert!(page("unclear").contains("status-unknown"));
    let unknown = visitor.open("/console/cards/nobody");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("No card of this id is known."));
}

#[rstest]
fn an_id_with_any_character_finds_its_page_and_breaks_no_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let card = r#"<script>"x"/?&#%27"#;
    app.deliver(&plain(&[status(card, Some(START), "ACTIVE")]));
    let visitor = visitor(&app);
    for page in ["/console/cards", "/console/notifications"] {
        let page = visitor.page(page);
        assert!(
            !page.contains("<script>\"") && page.contains("&#60;script&#62;"),
            "{page}"
        );
        let (_, link) = page.split_once("href=\"/console/cards/").unwrap();
        let link = link.split('"').next().unwrap();
        let card = visitor.page(&format!("/console/cards/{link}"));
        assert!(
            card.contains("ACTIVE") && !card.contains("<script>\""),
            "{card}"
        );
    }
}

#[rstest]
fn notifications_are_filtered_by_verdict_reason_card_and_time_and_pages_follow_each_other(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = populated(backend);
    app.advance(10 * MINUTE);
    let many: Vec<_> = (0..60)
        .map(|n| status(&format!("many-{n}"), Some(START), "ACTIVE"))
        .collect();
    app.deliver(&plain(&many));
    let visitor = visitor(&app);
    let count = |query: &str| {
        let page = visitor.page(&format!("/console/notifications?{query}"));
        page.matches("<tr>").count().saturating_sub(1)
    };
    assert_eq!(count("verdict=parked"), 1);
    assert_eq!(count("reason=TOKEN_REFRESH"), 2);
    assert_eq!(count("card=suspended"), 2);
    assert_eq!(count("until=2026-07-20T10:05"), 5);
    assert_eq!(count("since=2026-07-20T10:05&verdict=applied"), 50);
    assert_eq!(count("since=2027-01-01T00:00:00"), 0);
    let first = visitor.page("/console/notifications?verdict=applied&reason=STATUS_UPDATE");
    let (_, next) = first.split_once("rel=\"next\" href=\"").unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    assert!(
        next.contains("verdict=applied&reason=STATUS_UPDATE&"),
        "{next}"
    );
    let second = visitor.page(&next);
    assert_eq!(second.matches("<tr>").count() - 1, 12);
    assert!(!second.contains("rel=\"next\""));
    let wrong = visitor.open("/console/notifications?since=yesterday");
    assert_eq!(wrong.status, 400);
    assert!(
        wrong.body.contains("A time is written like"),
        "{}",
        wrong.body
    );
    assert_eq!(visitor.open("/console/notifications?card=%00").status, 400);
    assert_eq!(visitor.open("/console/notifications/nobody").status, 404);
    let twice = visitor.open("/console/notifications?card=a&card=5480980000000099");
    assert_eq!(twice.status, 400);
    assert!(
        twice.body.contains("The address asks for something"),
        "{}",
        twice.body
    );
    for (method, path) in [
        ("PUT", "/console/cards"),
        ("DELETE", "/console"),
        ("POST", "/console"),
    ] {
        let headers = format!("{}Sec-Fetch-Site: same-origin\r\n", visitor.cookie);
        let refused = app.console(method, path, &headers, "");
        assert_eq!(refused.status, 404, "{method} {path}");
    }
}

#[rstest]
fn the_overview_says_what_needs_a_human_and_counts_what_all_processes_did(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let visitor = visitor(&app);
    // Until the latest hours are counted, silence is not judged.
    wait_until("nothing needs a human", || {
        let page = visitor.page("/console/");
        page.contains("<p class=\"notice\">Nothing.</p>")
    });
    drop(visitor);
    let app = populated(backend);
    let visitor = self::visitor(&app);
    sql(&app.database).execute("UPDATE outbox SET state = 'dead' WHERE kind = 'cryptogram'");
    let page = visitor.page("/console");
    for shown in [
        "Notifications parked, status-unknown: 1",
        "Calls dead, cryptogram: ",
        "Deliveries accepted: 1 in the last hour, 1 in the busiest minute",
        "Notifications applied: 4 in the last hour, 4 in the busiest minute",
        "Parked or quarantined: 1 in the last hour",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    for (status, count) in [
        ("ACTIVE", "1"),
        ("SUSPENDED", "1"),
        ("CANCELLED", "1"),
        ("unknown", "1"),
    ] {
        assert_eq!(
            row(&page, &format!("status={status}\"")),
            format!("{status} {count}")
        );
    }
    // An hour later nothing of this is in the plots.
    app.advance(61 * MINUTE);
    let page = visitor_again(&app).page("/console");
    assert!(
        page.contains("Deliveries accepted: 0 in the last hour"),
        "{page}"
    );
}

fn visitor_again(app: &App) -> Visitor<'_> {
    app.sign_in(&app.new_key(AccessRole::Ops, "day-shift"))
}

#[test]
fn keys_are_shown_by_what_they_are_for_and_never_themselves() {
    let app = App::spawn(Backend::Sqlite);
    let page = visitor(&app).page("/console/keys");
    let payload = row(&page, "demo-payload-2026");
    assert!(
        payload.starts_with("demo-payload-2026 opens what Mastercard encrypts no end"),
        "{payload}"
    );
    assert!(page.contains("seals what is stored"));
    assert!(!page.contains("BEGIN"), "{page}");
}

#[test]
fn the_page_of_a_notification_is_as_it_was_agreed_upon() {
    let app = populated(Backend::Sqlite);
    let visitor = visitor(&app);
    let id = app.notifications("active")[0].id.clone();
    let page = visitor.page(&format!("/console/notifications/{id}"));
    let page = page.replace(&id, "ID");
    let calls = app.jobs("active");
    let page = calls
        .iter()
        .fold(page, |page, call| page.replace(&call.id, "CALL"));
    let page = page.replace(&visitor.form_token, "TOKEN");
    let lines = page.lines().filter(|line| !line.trim().is_empty());
    assert_snapshot!(Vec::from_iter(lines).join("\n"));
}

#[test]
fn every_page_can_be_used_by_those_who_do_not_see_it() {
    let app = populated(Backend::Sqlite);
    let visitor = visitor(&app);
    let (item, call) = (
        app.notifications("active")[0].id.clone(),
        app.jobs("active")[0].id.clone(),
    );
    let pages = [
        "/console".to_owned(),
        "/console/cards".to_owned(),
        "/console/cards/active".to_owned(),
        "/console/notifications".to_owned(),
        format!("/console/notifications/{item}"),
        format!("/console/notifications/{item}/replay"),
        "/console/outbox".to_owned(),
        format!("/console/outbox/{call}"),
        "/console/keys".to_owned(),
    ];
    for path in pages {
        let page = visitor.page(&path);
        for needed in [
            "<html lang=\"en\">",
            "<a class=\"skip\" href=\"#content\">",
            "<main id=\"content\"",
            "<nav aria-label=",
            "name=\"viewport\"",
        ] {
            assert_eq!(page.matches(needed).count(), 1, "{path}: {needed}");
        }
        assert_eq!(page.matches("<h1>").count(), 1, "{path}");
        let tables = page.matches("<table").count();
        assert_eq!(page.matches("<caption>").count(), tables, "{path}");
        assert_eq!(
            page.matches("<th").count(),
            page.matches("<th scope=").count() + page.matches("<thead").count(),
            "{path}"
        );
        // Nothing that the policy would not run, and nothing from outside.
        for forbidden in [
            " style=",
            " onclick=",
            "<style",
            "http://",
            "https://",
            "javascript:",
        ] {
            assert!(!page.contains(forbidden), "{path}: {forbidden}");
        }
        // Each field has its label.
        for field in page
            .split("<input")
            .skip(1)
            .chain(page.split("<select").skip(1))
        {
            let field = field.split('>').next().unwrap();
            if field.contains("type=\"hidden\"") {
                continue;
            }
            let (_, id) = field.split_once("id=\"").unwrap();
            let id = id.split('"').next().unwrap();
            assert!(
                page.contains(&format!("<label for=\"{id}\">")),
                "{path}: {id}"
            );
        }
    }
}

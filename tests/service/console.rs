//! The console's door: who is let in, for how long, and whose forms count.

use rstest::rstest;
use tokenkeep::api::access::AccessRole;
use tokenkeep::audit::Actor;

use crate::support::audit::Watch;
use crate::support::build::{NUMBER_1, plain, refresh};
use crate::support::console::{OWN, form};
use crate::support::sql::sql;
use crate::support::{App, Backend, START};

const MINUTE: i64 = 60_000;
/// Every page that takes no id.
const PAGES: [&str; 5] = [
    "/console",
    "/console/cards",
    "/console/notifications",
    "/console/outbox",
    "/console/keys",
];

/// The acts recorded since, with who did them and what came of them.
fn acts(watch: &mut Watch) -> Vec<(String, String, String, String)> {
    let records = watch.new_records().into_iter();
    let told = records.map(|r| (r.actor, r.act, r.object, r.outcome));
    told.collect()
}

fn told(actor: &str, act: &str, object: &str, outcome: &str) -> (String, String, String, String) {
    let [actor, act, object, outcome] = [actor, act, object, outcome].map(str::to_owned);
    (actor, act, object, outcome)
}

#[rstest]
fn whoever_is_not_signed_in_is_sent_to_the_sign_in_and_can_do_nothing(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh("mine", START, NUMBER_1, ("12", "2031"))]));
    let call = app.jobs("mine")[0].id.clone();
    let forged = "Cookie: tokenkeep-console=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n";
    for headers in ["", forged] {
        for page in PAGES
            .iter()
            .chain(&["/console/nothing", "/console/cards/mine"])
        {
            let reply = app.console("GET", page, headers, "");
            assert_eq!(
                (reply.status, reply.header("location")),
                (303, Some("/console/sign-in")),
                "{page}"
            );
        }
        let path = format!("/console/outbox/{call}/discard");
        let body = form(&[("form_token", ""), ("reason", "x")]);
        let refused = app.console("POST", &path, &format!("{headers}{OWN}"), &body);
        assert_eq!(refused.status, 401, "{}", refused.body);
    }
    assert_eq!(app.jobs("mine")[0].state, "waiting");
    let page = app.console("GET", "/console/sign-in", "", "");
    assert_eq!(page.status, 200);
    // The files of the pages tell nothing.
    for (file, kind) in [("style.css", "text/css"), ("script.js", "text/javascript")] {
        let file = app.console("GET", &format!("/console/{file}"), "", "");
        assert!(file.header("content-type").unwrap().starts_with(kind));
    }
}

#[rstest]
fn only_an_ops_key_opens_the_console_and_every_attempt_is_recorded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::Ops, "night-shift");
    let mut watch = Watch::begin(&app.database);
    for (role, name) in [(AccessRole::App, "shop"), (AccessRole::Payments, "till")] {
        let refused = app.try_to_sign_in(&app.new_key(role, name));
        assert_eq!((refused.status, refused.header("set-cookie")), (403, None));
        assert!(
            refused.body.contains("may not do this."),
            "{}",
            refused.body
        );
    }
    // Each key's refusals are recorded once a minute.
    let refused = |who| told(who, "access.refused", "api", "role-not-allowed");
    assert_eq!(acts(&mut watch), [refused("api:shop"), refused("api:till")]);
    for wrong in ["", "tk_ops_wrong", &key[..key.len() - 1]] {
        let refused = app.try_to_sign_in(wrong);
        assert_eq!((refused.status, refused.header("set-cookie")), (401, None));
    }
    let unknown = told("unknown", "access.refused", "api", "unknown-api-key");
    assert_eq!(acts(&mut watch), [unknown]);
    let signed_in = app.try_to_sign_in(&key);
    assert_eq!(
        (signed_in.status, signed_in.header("location")),
        (303, Some("/console"))
    );
    let cookie = signed_in.header("set-cookie").unwrap();
    let (token, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(token.len(), "tokenkeep-console=".len() + 43);
    assert_eq!(attributes, "Path=/console; HttpOnly; SameSite=Strict");
    let entered = told("api:night-shift", "console.sign-in", "console", "done");
    assert_eq!(acts(&mut watch), [entered]);
    let proxied = format!("{OWN}X-Forwarded-Proto: https\r\n");
    let body = form(&[("key", &key)]);
    let over_tls = app.console("POST", "/console/sign-in", &proxied, &body);
    let cookie = over_tls.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; SameSite=Strict; Secure"), "{cookie}");
    // A key in an address is none.
    let in_url = format!("/console/sign-in?key={key}");
    assert_eq!(app.console("POST", &in_url, OWN, "").status, 400);
}

#[test]
fn too_many_wrong_keys_are_told_to_wait_and_a_right_one_passes() {
    let app = App::spawn(Backend::Sqlite);
    let key = app.new_key(AccessRole::Ops, "night-shift");
    for _ in 0..100 {
        assert_eq!(app.try_to_sign_in("tk_ops_wrong").status, 401);
    }
    let refused = app.try_to_sign_in("tk_ops_wrong");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    app.sign_in(&key);
}

#[rstest]
fn each_page_is_recorded_under_the_keys_name_before_it_is_answered(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::Ops, "night-shift");
    app.deliver(&plain(&[refresh("mine", START, NUMBER_1, ("12", "2031"))]));
    sql(&app.database).execute("UPDATE outbox SET state = 'parked'");
    let call = app.jobs("mine")[0].id.clone();
    let visitor = app.sign_in(&key);
    let mut watch = Watch::begin(&app.database);
    for page in PAGES {
        visitor.page(page);
        assert_eq!(
            acts(&mut watch),
            [told("api:night-shift", "read", page, "done")]
        );
    }
    visitor.open("/console/cards/nobody");
    let refused = told(
        "api:night-shift",
        "read",
        "/console/cards/nobody",
        "refused",
    );
    assert_eq!(acts(&mut watch), [refused]);
    // What cannot be recorded is not shown, and nobody is let in.
    sql(&app.database).refuse_inserts("audit", "NEW.place > 0");
    for page in PAGES {
        let refused = visitor.open(page);
        assert_eq!(refused.status, 503, "{page}");
        assert!(
            refused.body.contains("The database does not answer."),
            "{}",
            refused.body
        );
    }
    let retried = visitor.send(&format!("/console/outbox/{call}/retry"), &[]);
    assert_eq!(retried.status, 503);
    assert_eq!(app.jobs("mine")[0].state, "parked", "and nothing is done");
    let refused = app.try_to_sign_in(&key);
    assert_eq!((refused.status, refused.header("set-cookie")), (503, None));
}

#[rstest]
fn a_session_ends_by_signing_out_by_idleness_and_with_its_key(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(AccessRole::Ops, "night-shift");
    let mut watch = Watch::begin(&app.database);
    let visitor = app.sign_in(&key);
    let other = app.sign_in(&key);
    let out = visitor.send("/console/sign-out", &[]);
    assert_eq!(out.status, 303);
    let cookie = out.header("set-cookie").unwrap();
    assert!(cookie.starts_with("tokenkeep-console=;") && cookie.ends_with("Max-Age=0"));
    let last = acts(&mut watch).pop().unwrap();
    assert_eq!(
        last,
        told("api:night-shift", "console.sign-out", "console", "done")
    );
    assert_eq!(visitor.open("/console").status, 303, "it has ended");
    // The others go on, as long as they are used.
    for _ in 0..4 {
        app.advance(14 * MINUTE);
        other.page("/console");
    }
    app.advance(15 * MINUTE);
    assert_eq!(other.open("/console").status, 303, "it was idle");
    let third = app.sign_in(&key);
    let revoked = app.store().acting(Actor::service());
    let revoked = revoked.write(|tx| tx.revoke_api_key("night-shift", START));
    assert!(revoked.unwrap());
    assert_eq!(third.open("/console").status, 303, "its key is revoked");
    let refused = third.send("/console/sign-out", &[]);
    assert_eq!(refused.status, 401);
}

#[rstest]
fn a_form_that_is_not_of_the_sessions_own_page_is_refused_and_recorded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[refresh("mine", START, NUMBER_1, ("12", "2031"))]));
    let call = app.jobs("mine")[0].id.clone();
    let visitor = app.sign_in(&app.new_key(AccessRole::Ops, "night-shift"));
    let other = app.sign_in(&app.new_key(AccessRole::Ops, "day-shift"));
    let mut watch = Watch::begin(&app.database);
    let acts_of_forms = [
        format!("/console/outbox/{call}/retry"),
        format!("/console/outbox/{call}/discard"),
        format!(
            "/console/notifications/{}/replay",
            app.notifications("mine")[0].id
        ),
        "/console/sign-out".to_owned(),
    ];
    let own = &*visitor.form_token;
    let another = if own.starts_with('A') { 'B' } else { 'A' };
    let changed = format!("{another}{}", &own[1..]);
    let foreign = "Origin: https://evil.example\r\n";
    let cross = "Sec-Fetch-Site: cross-site\r\nOrigin: http://console\r\n";
    let same_site = "Sec-Fetch-Site: same-site\r\n";
    for path in &acts_of_forms {
        for (headers, token) in [
            (OWN, ""),
            (OWN, &*changed),
            (OWN, &*other.form_token),
            (foreign, own),
            (cross, own),
            (same_site, own),
            ("", own),
        ] {
            let body = form(&[("form_token", token), ("reason", "because")]);
            let headers = format!("{}{headers}", visitor.cookie);
            let refused = app.console("POST", path, &headers, &body);
            assert_eq!(refused.status, 403, "{path} {headers}");
            assert!(
                refused
                    .body
                    .contains("does not come from a page of this console")
            );
        }
        // By its address alone nothing can be done.
        let by_link = format!("{path}?form_token={own}&reason=because");
        let headers = format!("{}{OWN}", visitor.cookie);
        assert_eq!(app.console("POST", &by_link, &headers, "").status, 403);
    }
    let recorded = told("api:night-shift", "access.refused", "api", "foreign-form");
    assert_eq!(acts(&mut watch), [recorded], "once a minute");
    assert_eq!(app.jobs("mine")[0].state, "waiting");
    let foreign_sign_in = form(&[("key", "x")]);
    let refused = app.console("POST", "/console/sign-in", foreign, &foreign_sign_in);
    assert_eq!(refused.status, 403);
    // With the browser's word that it is the same site, in either way, it is done.
    let body = form(&[("form_token", own)]);
    let headers = format!("{}Origin: http://console\r\n", visitor.cookie);
    let retried = app.console("POST", &acts_of_forms[0], &headers, &body);
    assert_eq!(retried.status, 303, "{}", retried.body);
}

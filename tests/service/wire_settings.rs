//! Open questions of the wire form are settled by settings alone: paths, forms, keys, answers.
//!
//! What is open about one element follows in `wire_settings_items`, about the names of fields in
//! `wire_settings_aliases`, about time and identity of an event in `wire_settings_events`.

use std::time::Duration;

use diesel::prelude::*;
use serde_json::{Value, json};
use tokenkeep::jose::encrypt;
use tokenkeep::settings::{Overrides, Settings};

use crate::support::build::{CARD, NUMBER_1, encrypted, plain, refresh_with, status};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::{App, Backend, START, wait_until};
use crate::wire::{jwe_of_text, latest, post, shown, verdict};

/// Reads a settings file of this text.
pub fn load(text: &str) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkeep.toml");
    std::fs::write(&path, text).unwrap();
    let overrides = Overrides {
        config: Some(path.clone()),
        values: Vec::new(),
    };
    let place = format!("{}:", path.display());
    let loaded = Settings::load(&overrides, []);
    loaded.map_err(|error| error.to_string().replace(&place, ""))
}

/// A service whose settings file has this text.
pub fn app(text: &str) -> App {
    app_on(Backend::Sqlite, text)
}

pub fn app_on(backend: Backend, text: &str) -> App {
    App::spawn_with(backend, |settings| lay_over(settings, text))
}

fn lay_over(settings: &mut Settings, text: &str) {
    let loaded = load(text).unwrap();
    settings.receiver = loaded.receiver;
    settings.processor = loaded.processor;
    settings.notification = loaded.notification;
    settings.policy = loaded.policy;
}

/// The mistake that a settings file of this text is refused with.
pub fn mistake(text: &str) -> String {
    load(text).err().unwrap_or_default()
}

fn payment() -> Value {
    json!({ "paymentToken": NUMBER_1, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031" })
}

/// The verdict on a refresh of a new card whose payment data has this `enc`.
fn verdict_on_enc(app: &App, enc: &str) -> String {
    let key = std::fs::read(crate::support::keys().join("payload/demo-payload-2026.pem")).unwrap();
    let token = encrypt(payment().to_string().as_bytes(), &key, None, enc, 16).unwrap();
    app.deliver(&plain(&[refresh_with(enc, START - 1_000, &token)]));
    verdict(&latest(app))
}

#[test]
fn processor_enc_is_the_list_of_what_is_opened() {
    let all = ["A128GCM", "A192GCM", "A256GCM", "A128CBC-HS256"];
    for (text, opened) in [
        ("", &all[..3]),
        ("[processor]\nenc = [\"A256GCM\"]", &all[2..3]),
        ("[processor]\nenc = [\"A128CBC-HS256\"]", &all[3..]),
    ] {
        let app = app(text);
        for enc in all {
            let expected = match opened.contains(&enc) {
                true => "applied",
                false => "quarantined(unreadable)",
            };
            assert_eq!(verdict_on_enc(&app, enc), expected, "{enc} with {text}");
        }
    }
    for wrong in [
        r#"["A128GCM", "A512GCM"]"#,
        r#"["dir"]"#,
        r#"["a128gcm"]"#,
        "[]",
    ] {
        let told = mistake(&format!("[processor]\nenc = {wrong}"));
        assert!(told.starts_with("2:7: processor.enc: "), "{told}");
    }
}

#[test]
fn what_was_not_opened_is_looked_at_again_after_the_start_with_a_changed_list() {
    let mut app = app("[processor]\nenc = [\"A256GCM\"]");
    assert_eq!(verdict_on_enc(&app, "A128GCM"), "quarantined(unreadable)");
    app.stop();
    app.settings.processor = load("").unwrap().processor;
    app.start();
    wait_until("it is opened", || app.verdicts("A128GCM") == ["applied"]);
}

#[test]
fn processor_unknown_kid_says_whether_other_keys_are_tried() {
    let folder = KeyFolder::copy();
    let late = LateKey::new("payload-2027");
    folder.put(late.kid, &late.pem);
    let spawn = |text: &str| {
        App::spawn_with(Backend::Sqlite, |settings| {
            lay_over(settings, text);
            settings.keys = folder.path().to_owned();
        })
    };
    let of_key = |kid: &str| {
        let key = std::fs::read(folder.path().join(format!("payload/{kid}.pem"))).unwrap();
        let text = payment().to_string();
        encrypt(text.as_bytes(), &key, Some("nobody-knows"), "A128GCM", 12).unwrap()
    };
    let elsewhere = LateKey::new("nobody-knows").jwe(&payment());
    let held = "quarantined(unknown-key)";
    for (text, active) in [
        ("", held),
        ("[processor]\nunknown_kid = \"try_all\"", "applied"),
    ] {
        let app = spawn(text);
        for (card, token, expected) in [
            ("default", of_key("demo-payload-2026"), active),
            ("active", of_key(late.kid), active),
            // A retired key opens only what names it, or names none.
            ("retired", of_key("demo-payload-2025"), held),
            // Its key may still come.
            ("elsewhere", elsewhere.clone(), held),
        ] {
            app.deliver(&plain(&[refresh_with(card, START - 1_000, &token)]));
            assert_eq!(app.verdicts(card), [expected], "{card} with {text}");
        }
    }
    let told = mistake("[processor]\nunknown_kid = \"drop\"");
    assert!(told.starts_with("2:15: processor.unknown_kid: "), "{told}");
}

#[test]
fn a_fingerprint_beside_the_encrypted_list_names_its_key() {
    let app = app("");
    let list = |card: &str| json!([status(card, Some(START), "ACTIVE")]).to_string();
    for (card, kid, beside, expected) in [
        (
            "beside",
            Some("nobody-knows"),
            json!("demo-payload-2026"),
            "applied",
        ),
        ("wrong-type", None, json!(7), "applied"),
        (
            "kid-first",
            Some("demo-payload-2026"),
            json!("nobody-knows"),
            "applied",
        ),
    ] {
        let mut body = json!({
            "encryptedDigitalCardUpdateNotifications": jwe_of_text(&list(card), kid),
        });
        body["keyFingerprintId"] = beside;
        app.deliver(&body);
        assert_eq!(app.verdicts(card), [expected], "{card}");
    }
    let mut body = json!({
        "encryptedDigitalCardUpdateNotifications": jwe_of_text(&list(CARD), None),
    });
    body["keyFingerprintId"] = "nobody-knows".into();
    app.deliver(&body);
    assert_eq!(verdict(&latest(&app)), "quarantined(unknown-key)");
}

#[test]
fn policy_both_forms_says_which_list_counts() {
    for (text, expected) in [
        ("", None),
        ("[policy]\nboth_forms = \"park\"", None),
        ("[policy]\nboth_forms = \"plain\"", Some("ACTIVE")),
        ("[policy]\nboth_forms = \"encrypted\"", Some("SUSPENDED")),
    ] {
        let app = app(text);
        let mut body = encrypted(&json!([status(CARD, Some(START), "SUSPENDED")]));
        body["digitalCardUpdateNotifications"] = json!([status(CARD, Some(START), "ACTIVE")]);
        app.deliver(&body);
        match expected {
            None => assert_eq!(verdict(&latest(&app)), "parked(both-forms)", "{text}"),
            Some(word) => {
                assert_eq!(app.verdicts(CARD), ["applied"], "{text}");
                assert_eq!(shown(&app, CARD)["status"], word, "{text}");
            }
        }
    }
    let told = mistake("[policy]\nboth_forms = \"both\"");
    assert!(told.starts_with("2:14: policy.both_forms: "), "{told}");
}

#[test]
fn receiver_sibling_paths_are_acknowledged_and_nothing_of_them_is_kept() {
    let sibling = "/notifications/dpa";
    let body = plain(&[status(CARD, Some(START), "ACTIVE")]).to_string();
    let app_with = app("[receiver]\nsibling_paths = [\"/notifications/dpa\"]");
    let app_without = app("");
    for (app, expected) in [(&app_without, 404), (&app_with, 204)] {
        let answer = post(app, sibling, body.as_bytes(), &[]);
        assert_eq!(answer.status, expected);
        app.settle();
        assert!(app.card(CARD).is_none());
        let other = post(app, "/notifications/batch/enrollmentrecord", b"{}", &[]);
        assert_eq!((other.status, &*other.code()), (404, "not-found"));
    }
    app_with.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    assert_eq!(app_with.verdicts(CARD), ["applied"]);
    for wrong in ["dpa", "/notifications/card", "/livez", "/{any}", ""] {
        let told = mistake(&format!("[receiver]\nsibling_paths = [\"{wrong}\"]"));
        assert!(told.contains("receiver.sibling_paths"), "{wrong}: {told}");
    }
}

#[test]
fn other_methods_and_paths_of_the_public_listener_get_a_problem_document() {
    let app = app("[receiver]\nsibling_paths = [\"/notifications/dpa\"]");
    let answer = |method: &str, path: &str| {
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(app.receiver_url().replace("/notifications/card", path));
        let request = request.body(()).unwrap();
        let mut response = ureq::Agent::from(agent.build()).run(request).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        let document: Value = serde_json::from_str(&text).unwrap();
        let header = |name| {
            response
                .headers()
                .get(name)
                .map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(header("content-type").unwrap(), "application/problem+json");
        assert_eq!(document["status"], response.status().as_u16());
        let code = document["code"].as_str().unwrap().to_owned();
        (response.status().as_u16(), code, header("allow"))
    };
    let allowed = |method: &str| {
        (
            405,
            "method-not-allowed".to_owned(),
            Some(method.to_owned()),
        )
    };
    for path in ["/notifications/card", "/notifications/dpa"] {
        for method in ["GET", "DELETE"] {
            assert_eq!(answer(method, path), allowed("POST"), "{method} {path}");
        }
    }
    assert_eq!(answer("DELETE", "/livez"), allowed("GET"));
    for path in ["/", "/notifications", "/notifications/card/", "/v1/cards"] {
        assert_eq!(
            answer("GET", path),
            (404, "not-found".to_owned(), None),
            "{path}"
        );
    }
}

/// What a delivery is answered while something else writes to the database for this long.
fn answer_beside_a_writer(app: &App, writes_for: Duration) -> u16 {
    let mut writer = SqliteConnection::establish(&app.database.url()).unwrap();
    let mut run = move |sql: &str| diesel::sql_query(sql).execute(&mut writer).unwrap();
    run("PRAGMA busy_timeout = 5000");
    run("BEGIN IMMEDIATE");
    let writing = std::thread::spawn(move || {
        std::thread::sleep(writes_for);
        run("COMMIT");
    });
    let answer = app.notify(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    writing.join().unwrap();
    app.settle();
    answer.status
}

#[test]
fn receiver_commit_patience_says_how_long_a_delivery_waits_for_its_commit() {
    for (text, expected) in [("", 204), ("[receiver]\ncommit_patience = 1", 503)] {
        let app = app(text);
        let answer = answer_beside_a_writer(&app, Duration::from_millis(1_800));
        assert_eq!(answer, expected, "{text}");
        assert_eq!(
            app.settings.receiver.commit_patience().as_secs() == 3,
            text.is_empty()
        );
    }
    for wrong in ["0", "61"] {
        let told = mistake(&format!("[receiver]\ncommit_patience = {wrong}"));
        assert!(told.contains("receiver.commit_patience"), "{told}");
    }
}

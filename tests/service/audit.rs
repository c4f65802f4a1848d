//! P-16: every act is recorded once, with who, what, when, from where and with what result.

use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;

use crate::support::audit::Watch;
use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::commands::{Output, fed, with};
use crate::support::key_folder::KeyFolder;
use crate::support::sql::sql;
use crate::support::{App, Backend, START, TestDatabase};

/// Who acts in this test at the command line.
const USER: (&str, &str) = ("USER", "auditor");

/// The acts of the script, and what was recorded of each.
struct Script<'a> {
    app: &'a App,
    watch: Watch,
    acts: usize,
    app_key: String,
    ops_key: String,
    payments_key: String,
}

impl<'a> Script<'a> {
    fn begin(app: &'a App) -> Self {
        Self {
            app,
            app_key: app.new_key(AccessRole::App, "shop-app"),
            ops_key: app.new_key(AccessRole::Ops, "night-shift"),
            payments_key: app.new_key(AccessRole::Payments, "till"),
            watch: Watch::begin(&app.database),
            acts: 0,
        }
    }

    /// Exactly one record is new, and it says this.
    fn recorded(&mut self, actor: &str, act: &str, object: &str, outcome: &str) {
        let new = self.watch.new_records();
        assert_eq!(new.len(), 1, "{act} of {object}: {new:#?}");
        let record = &new[0];
        let found = (
            &*record.actor,
            &*record.act,
            &*record.object,
            &*record.outcome,
        );
        assert_eq!(found, (actor, act, object, outcome));
        let is_api = actor.starts_with("api:") || actor == "unknown";
        match is_api {
            true => {
                assert!(record.origin.starts_with("127.0.0.1:"), "{}", record.origin);
                assert_eq!(record.at, START);
            }
            false => {
                assert_eq!(record.origin, "terminal");
                assert_ne!(record.at, START, "by the clock of the command");
            }
        }
        self.acts += 1;
    }

    fn send(&self, key: &str, method: &str, path: &str, body: &str) -> u16 {
        self.app.send(method, path, key, body).status
    }

    /// An act by the merchant's app through the API.
    fn by_app(&mut self, method: &str, path: &str, body: &str, expected: (&str, &str, &str)) {
        self.send(&self.app_key, method, path, body);
        self.recorded("api:shop-app", expected.0, expected.1, expected.2);
    }

    /// An act by a person through the API.
    fn by_ops(&mut self, method: &str, path: &str, body: &str, expected: (&str, &str, &str)) {
        self.send(&self.ops_key, method, path, body);
        self.recorded("api:night-shift", expected.0, expected.1, expected.2);
    }

    /// An act at the command line.
    fn run(&mut self, arguments: &[&str], expected: (&str, &str, &str)) -> Output {
        let output = with(&self.app.database, arguments, &[USER]);
        assert!(output.code < 2, "{arguments:?}: {output:?}");
        self.recorded("cli:auditor", expected.0, expected.1, expected.2);
        output
    }
}

#[rstest]
fn p16_every_act_is_recorded_once_with_who_what_when_where_and_result(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    app.deliver(&plain(&[
        refresh("kept", START, NUMBER_1, ("12", "2031")),
        status("gone", Some(START), "ACTIVE"),
        status("other", Some(START), "ACTIVE"),
        status("last", Some(START), "CANCELLED"),
    ]));
    app.store_cryptogram("kept");
    let item = app.notifications("kept")[0].id.clone();
    let mut script = Script::begin(&app);
    acts_of_the_app(&mut script);
    let job = acts_of_people(&mut script, &item);
    commands_that_read(&mut script, &item, &job);
    commands_that_change(&mut script, &item, &job);
    commands_for_keys(&mut script);
    commands_for_retention(&mut script);
    println!("P-16 {} acts of {} recorded once", script.acts, script.acts);
    assert!(script.acts >= 40, "{}", script.acts);
}

fn acts_of_the_app(script: &mut Script<'_>) {
    let register = json!({ "program": "shop" }).to_string();
    let act = "card.register";
    script.by_app("PUT", "/v1/cards/new", &register, (act, "new", "created"));
    script.by_app("PUT", "/v1/cards/new", &register, (act, "new", "updated"));
    script.by_app(
        "PUT",
        "/v1/cards/last",
        &register,
        (act, "last", "terminal"),
    );
    let suspend = json!({ "tokenStatus": "SUSPEND" }).to_string();
    let path = "/v1/cards/new/token-status";
    script.by_app(
        "PUT",
        path,
        &suspend,
        ("token.command", "new", "not-offered"),
    );
    let path = "/v1/cards/nobody/token-status";
    script.by_app(
        "PUT",
        path,
        &suspend,
        ("token.command", "nobody", "unknown-card"),
    );
    let lost = json!({ "contractStatus": "05" }).to_string();
    let path = "/v1/cards/new/contract-status";
    script.by_app(
        "PUT",
        path,
        &lost,
        ("contract.status", "new", "not-offered"),
    );
    let act = "card.delete";
    script.by_app(
        "DELETE",
        "/v1/cards/nobody",
        "",
        (act, "nobody", "unknown-card"),
    );
    script.by_app(
        "DELETE",
        "/v1/cards/gone",
        "",
        (act, "gone", "program-unknown"),
    );
    script.by_app(
        "DELETE",
        "/v1/cards/gone?program=shop",
        "",
        (act, "gone", "done"),
    );
    script.by_app("DELETE", "/v1/cards/gone", "", (act, "gone", "no_change"));

    let credentials = |script: &Script<'_>, body: &str| {
        let path = "/v1/cards/kept/credentials";
        script.send(&script.payments_key, "POST", path, body)
    };
    let issued = ("credentials.issue", "kept", "done");
    assert_eq!(credentials(script, r#"{"use":"single"}"#), 200);
    script.recorded("api:till", issued.0, issued.1, issued.2);
    assert_eq!(credentials(script, r#"{"use":"recurring"}"#), 200);
    script.recorded("api:till", issued.0, issued.1, issued.2);
    // Where nothing is given out, nothing is recorded; nor what the merchant's systems look at.
    assert_eq!(credentials(script, r#"{"use":"single"}"#), 409);
    assert_eq!(
        script.send(&script.app_key, "GET", "/v1/cards/kept", ""),
        200
    );
    assert!(script.watch.new_records().is_empty());
}

/// Returns the call that deletes a card.
fn acts_of_people(script: &mut Script<'_>, item: &str) -> String {
    for path in [
        "/v1/cards",
        "/v1/cards/kept",
        "/v1/notifications",
        "/v1/outbox",
    ] {
        script.by_ops("GET", path, "", ("read", path, "done"));
    }
    let path = format!("/v1/notifications/{item}");
    script.by_ops("GET", &path, "", ("read", &path, "done"));
    script.by_ops(
        "GET",
        "/v1/cards/nobody",
        "",
        ("read", "/v1/cards/nobody", "refused"),
    );
    let path = format!("{path}/replay");
    let reason = json!({ "reason": "asked by the shop" }).to_string();
    let expected = ("notification.replay", item, "duplicate");
    script.by_ops("POST", &path, &reason, expected);
    let job = script.app.jobs("gone")[0].id.clone();
    let path = format!("/v1/outbox/{job}/retry");
    script.by_ops("POST", &path, "", ("call.retry", &job, "done"));

    assert_eq!(script.send("nonsense", "GET", "/v1/cards", ""), 401);
    script.recorded("unknown", "access.refused", "api", "unknown-api-key");
    for _ in 0..5 {
        assert_eq!(script.send("nonsense", "GET", "/v1/cards", ""), 401);
    }
    assert!(script.watch.new_records().is_empty(), "one a minute");
    job
}

fn commands_that_read(script: &mut Script<'_>, item: &str, job: &str) {
    script.run(&["cards", "list"], ("read", "cards", "done"));
    script.run(&["cards", "show", "kept"], ("read", "cards/kept", "done"));
    script.run(
        &["notifications", "list"],
        ("read", "notifications", "done"),
    );
    let read = format!("notifications/{item}");
    script.run(&["notifications", "show", item], ("read", &read, "done"));
    script.run(&["notifications", "explain", item], ("read", &read, "done"));
    script.run(&["outbox", "list"], ("read", "outbox", "done"));
    let read = format!("outbox/{job}");
    script.run(&["outbox", "show", job], ("read", &read, "done"));
    script.run(&["audit", "list"], ("read", "audit", "done"));
    script.run(&["cards", "export"], ("read", "cards", "done"));
    script.run(&["rebuild", "--check"], ("read", "rebuild", "done"));
    let status = ["maintenance", "status"];
    script.run(&status, ("read", "maintenance", "done"));
    let verified = ("audit.verify", "audit", "whole");
    let output = script.run(&["audit", "verify", "--json"], verified);
    assert_eq!(output.json()["faults"], json!([]));
}

fn commands_that_change(script: &mut Script<'_>, item: &str, job: &str) {
    let delete = ["cards", "delete", "other", "--program", "shop"];
    script.run(&delete, ("card.delete", "other", "done"));
    let suspend = ["cards", "status", "kept", "suspend"];
    script.run(&suspend, ("token.command", "kept", "program-unknown"));
    let replay = ["notifications", "replay", item, "--reason", "again"];
    script.run(&replay, ("notification.replay", item, "duplicate"));
    script.run(&["outbox", "retry", job], ("call.retry", job, "done"));
    let discard = ["outbox", "discard", "none", "--reason", "wrong"];
    script.run(&discard, ("call.discard", "none", "refused"));
    let line = json!({ "cardId": "imported", "program": "shop" }).to_string();
    let imported = fed(&script.app.database, &["cards", "import", "-"], &line);
    assert_eq!(imported.code, 0, "{imported:?}");
    let user = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
    let actor = format!("cli:{user}");
    script.recorded(&actor, "card.register", "imported", "created");
    let begin = ["maintenance", "on", "--reason", "to see"];
    script.run(&begin, ("maintenance.on", "maintenance", "done"));
    for outcome in ["done", "no_change"] {
        let end = ("maintenance.off", "maintenance", outcome);
        script.run(&["maintenance", "off"], end);
    }
    if let TestDatabase::Sqlite { folder } = &script.app.database {
        let copy = folder.path().join("copy.db");
        let backup = ["backup", copy.to_str().unwrap()];
        script.run(&backup, ("backup", "copy.db", "done"));
    }
    // What is only rehearsed is not done, and leaves no record.
    let rehearsed = [
        "notifications",
        "replay",
        item,
        "--reason",
        "x",
        "--dry-run",
    ];
    assert_eq!(with(&script.app.database, &rehearsed, &[USER]).code, 0);
    assert!(script.watch.new_records().is_empty());
}

fn commands_for_keys(script: &mut Script<'_>) {
    let create = ["api-keys", "create", "--role", "app", "--name", "third"];
    script.run(&create, ("api-key.create", "third", "done"));
    script.run(&["api-keys", "list"], ("read", "api-keys", "done"));
    let revoke = ["api-keys", "revoke", "third"];
    script.run(&revoke, ("api-key.revoke", "third", "done"));
    script.run(&revoke, ("api-key.revoke", "third", "unknown-key"));
    let folder = KeyFolder::copy();
    let path = folder.path().to_str().unwrap();
    let generate = [
        "keys", "generate", "--kid", "new", "--bits", "2048", "--keys", path,
    ];
    script.run(&generate, ("keys.generate", "keys", "done"));
}

fn commands_for_retention(script: &mut Script<'_>) {
    let hold = ["cards", "hold", "last", "--reason", "a dispute"];
    script.run(&hold, ("card.hold", "last", "done"));
    script.run(&["cards", "erase", "last"], ("card.erase", "last", "held"));
    script.run(
        &["cards", "release", "last"],
        ("card.release", "last", "done"),
    );
    script.run(
        &["cards", "release", "last"],
        ("card.release", "last", "no_change"),
    );
    script.run(&["cards", "erase", "last"], ("card.erase", "last", "done"));
    sql(&script.app.database).execute("UPDATE events SET at = 1");
    let kept = [
        "RAW_BODY",
        "NOTIFICATIONS",
        "ANSWERS",
        "OUTBOX",
        "ENDED_CARDS",
        "AUDIT",
    ];
    let kept = kept.map(|class| format!("TOKENKEEP_RETENTION__{class}_DAYS"));
    let mut variables: Vec<(&str, &str)> = kept.iter().map(|name| (&**name, "0")).collect();
    variables.push(USER);
    let purged = with(&script.app.database, &["purge"], &variables);
    assert_eq!(purged.code, 0, "{purged:?}");
    script.recorded("cli:auditor", "purge", "events", "done");
}

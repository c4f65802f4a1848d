//! P-16: every act is recorded once, with who, what, when, from where and with what result.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_json::json;
use tokenkeep::api::access::AccessRole;
use tokenkeep::audit::Act;

use crate::audit_commands::{
    commands_for_keys, commands_for_operations, commands_for_other_sides, commands_for_retention,
    commands_that_change, commands_that_read,
};
use crate::support::audit::{Watch, records, store};
use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::commands::{Output, with};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::{App, Backend, START, TestDatabase, wait_until};

/// Who says in this test that he is somebody else, and who used sudo.
pub const CLAIMED: [(&str, &str); 3] = [
    ("USER", "somebody-else"),
    ("SUDO_UID", "1234"),
    ("SUDO_USER", "auditor"),
];

/// Who acts at the command line: the account that the tests run under.
pub fn who() -> String {
    let told = std::process::Command::new("id")
        .arg("-un")
        .output()
        .unwrap();
    format!("cli:{}", String::from_utf8(told.stdout).unwrap().trim())
}

/// The acts of the script, and what was recorded of each.
pub struct Script<'a> {
    pub app: &'a App,
    pub watch: Watch,
    pub acts: usize,
    /// The acts that were seen, by their words.
    pub seen: BTreeSet<String>,
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
            seen: BTreeSet::new(),
        }
    }

    /// Exactly one record is new, and it says this.
    pub fn recorded(&mut self, actor: &str, act: &str, object: &str, outcome: &str) {
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
        self.seen.insert(record.act.clone());
        self.acts += 1;
    }

    fn send(&self, key: &str, method: &str, path: &str, body: &str) -> u16 {
        self.app.send(method, path, key, body).status
    }

    /// An act by the merchant's app through the API.
    pub fn by_app(&mut self, method: &str, path: &str, body: &str, expected: (&str, &str, &str)) {
        self.send(&self.app_key, method, path, body);
        self.recorded("api:shop-app", expected.0, expected.1, expected.2);
    }

    /// An act by a person through the API.
    fn by_ops(&mut self, method: &str, path: &str, body: &str, expected: (&str, &str, &str)) {
        self.send(&self.ops_key, method, path, body);
        self.recorded("api:night-shift", expected.0, expected.1, expected.2);
    }

    /// An act at the command line.
    pub fn run(&mut self, arguments: &[&str], expected: (&str, &str, &str)) -> Output {
        self.run_with(arguments, &CLAIMED, expected)
    }

    /// Runs a command that is recorded when it begins and when it ends.
    pub fn begun_and_ended(&mut self, arguments: &[&str], act: &str, end: &str) {
        let output = with(&self.app.database, arguments, &CLAIMED);
        assert_eq!(output.code, 0, "{output:?}");
        let found = self.watch.new_records();
        let told: Vec<_> = found.iter().map(|r| (&*r.act, &*r.outcome)).collect();
        assert_eq!(told, [(act, "begun"), (act, end)]);
        assert!(found[0].details.contains(r#""sudo":"uid:1234 auditor""#));
        self.seen.insert(act.to_owned());
        self.acts += 1;
    }

    /// The same with variables of its own.
    pub fn run_with(
        &mut self,
        arguments: &[&str],
        variables: &[(&str, &str)],
        expected: (&str, &str, &str),
    ) -> Output {
        let output = with(&self.app.database, arguments, variables);
        assert!(output.code < 2, "{arguments:?}: {output:?}");
        self.recorded(&who(), expected.0, expected.1, expected.2);
        output
    }
}

#[rstest]
fn p16_every_act_is_recorded_once_with_who_what_when_where_and_result(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::copy();
    let mut app = folder.spawn(backend);
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
    commands_for_other_sides(&mut script);
    commands_for_retention(&mut script);
    commands_for_operations(&mut script);
    refused_keys(&mut script);
    let Script { acts, mut seen, .. } = script;
    seen.extend(acts_of_the_service(&mut app, &folder));
    seen.extend(acts_of_the_owner(backend));
    seen.extend(acts_of_the_console(&app));
    let every: BTreeSet<String> = Act::ALL.iter().map(|act| act.word().to_owned()).collect();
    assert_eq!(seen, every, "each act has a case here");
    println!(
        "P-16 {acts} acts of {acts} recorded once, of {} kinds",
        every.len()
    );
    assert!(acts >= 40, "{acts}");
}

/// What the service records of itself: its keys, its stop and its start.
fn acts_of_the_service(app: &mut App, folder: &KeyFolder) -> BTreeSet<String> {
    let mut watch = Watch::begin(&app.database);
    folder.put("broken", b"no key");
    let mut seen = BTreeSet::new();
    wait_until("the key folder is looked at", || {
        seen.extend(watch.new_records().into_iter().map(|record| record.act));
        !seen.is_empty()
    });
    folder.remove("broken");
    app.stop();
    folder.put("new", &LateKey::new("new").pem);
    app.start();
    seen.extend(watch.new_records().into_iter().map(|record| record.act));
    seen
}

/// What the console records of a visit.
fn acts_of_the_console(app: &App) -> BTreeSet<String> {
    let key = app.new_key(AccessRole::Ops, "visitor");
    let mut watch = Watch::begin(&app.database);
    app.sign_in(&key).send("/console/sign-out", &[]);
    let recorded = watch.new_records().into_iter();
    recorded.map(|record| record.act).collect()
}

/// What is recorded of a database that is new, and of the one that it moves to.
fn acts_of_the_owner(backend: Backend) -> BTreeSet<String> {
    let (database, file) = (
        TestDatabase::new(backend),
        TestDatabase::new(Backend::Sqlite),
    );
    let migrated = with(&database, &["migrate"], &CLAIMED);
    assert_eq!(migrated.code, 0, "{migrated:?}");
    let moved = with(&database, &["migrate", "--to", &file.url()], &CLAIMED);
    assert_eq!(moved.code, 0, "{moved:?}");
    // A copy is made of a file alone.
    let copy = format!("{}.copy", file.url());
    let copied = with(&file, &["backup", &copy], &CLAIMED);
    assert_eq!(copied.code, 0, "{copied:?}");
    let recorded = records(&store(&file));
    assert!(recorded.iter().all(|record| record.actor == who()));
    recorded.into_iter().map(|record| record.act).collect()
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
    job
}

/// Comes last: what is not recorded at once is after a minute.
fn refused_keys(script: &mut Script<'_>) {
    assert_eq!(script.send("nonsense", "GET", "/v1/cards", ""), 401);
    script.recorded("unknown", "access.refused", "api", "unknown-api-key");
    for _ in 0..5 {
        assert_eq!(script.send("nonsense", "GET", "/v1/cards", ""), 401);
    }
    assert!(script.watch.new_records().is_empty(), "one a minute");
}

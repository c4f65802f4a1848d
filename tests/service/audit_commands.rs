//! P-16: the acts of the command line, one after the other; `audit` puts them among all acts.

use serde_json::json;

use crate::audit::{CLAIMED, Script, who};
use crate::commands_reconcile::PROGRAM;
use crate::support::START;
use crate::support::build::{KID, plain, status};
use crate::support::commands::{fed, with};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::sql::sql;

pub fn commands_that_read(script: &mut Script<'_>, item: &str, job: &str) {
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
    script.run(&["check", "--data"], ("read", "missed", "done"));
    script.run(&["audit", "list"], ("read", "audit", "done"));
    script.run(&["cards", "export"], ("read", "cards", "done"));
    script.run(&["rebuild", "--check"], ("read", "rebuild", "done"));
    let status = ["maintenance", "status"];
    script.run(&status, ("read", "maintenance", "done"));
    let verified = ("audit.verify", "audit", "whole");
    let output = script.run(&["audit", "verify", "--json"], verified);
    assert_eq!(output.json()["faults"], json!([]));
}

pub fn commands_that_change(script: &mut Script<'_>, item: &str, job: &str) {
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
    script.recorded(&who(), "card.register", "imported", "created");
    // What is only rehearsed is not done, and leaves no record.
    let rehearsed = [
        "notifications",
        "replay",
        item,
        "--reason",
        "x",
        "--dry-run",
    ];
    assert_eq!(with(&script.app.database, &rehearsed, &[]).code, 0);
    assert!(script.watch.new_records().is_empty());
}

pub fn commands_for_keys(script: &mut Script<'_>) {
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
    script.begun_and_ended(&generate, "keys.generate", "done");
    folder.put(KID, &LateKey::new(KID).pem);
    let approve = |kid| {
        [
            "keys", "approve", kid, "--reason", "renewed", "--keys", path,
        ]
    };
    script.run(&approve(KID), ("keys.approve", KID, "done"));
    script.run(&approve(KID), ("keys.approve", KID, "no_change"));
    let unknown = ("keys.approve", "nobody", "unknown-key");
    script.run(&approve("nobody"), unknown);
    let back = ["keys", "approve", KID, "--reason", "back"];
    script.run(&back, ("keys.approve", KID, "done"));
}

pub fn commands_for_other_sides(script: &mut Script<'_>) {
    let reconcile = ["reconcile", "--card", "kept"];
    let refused = with(&script.app.database, &reconcile, &PROGRAM);
    assert_eq!(refused.code, 1, "its program is not known: {refused:?}");
    assert!(script.watch.new_records().is_empty());
    let register = json!({ "program": "shop" }).to_string();
    let expected = ("card.register", "kept", "updated");
    script.by_app("PUT", "/v1/cards/kept", &register, expected);
    let expected = ("cards.reconcile", "kept", "done");
    script.run_with(&reconcile, &PROGRAM, expected);

    let body = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    let sent = plain(&[status("replayed", Some(START), "ACTIVE")]).to_string();
    std::fs::write(body.path(), sent).unwrap();
    let replay = ["replay", body.path().to_str().unwrap()];
    let replayed = with(&script.app.database, &replay, &CLAIMED);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    let newest = "SELECT id AS text FROM deliveries ORDER BY sequence DESC LIMIT 1";
    let delivery = sql(&script.app.database).texts(newest).remove(0);
    script.recorded(&who(), "deliveries.replay", &delivery, "done");

    // One that takes its time: its beginning and its end.
    script.begun_and_ended(&["keys", "reseal"], "keys.reseal", "ended");
}

pub fn commands_for_operations(script: &mut Script<'_>) {
    let begin = ["maintenance", "on", "--reason", "to see"];
    script.run(&begin, ("maintenance.on", "maintenance", "done"));
    for outcome in ["done", "no_change"] {
        let end = ("maintenance.off", "maintenance", outcome);
        script.run(&["maintenance", "off"], end);
    }
}

pub fn commands_for_retention(script: &mut Script<'_>) {
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
    let variables: Vec<(&str, &str)> = kept.iter().map(|name| (&**name, "0")).collect();
    let purged = with(&script.app.database, &["purge"], &variables);
    assert_eq!(purged.code, 0, "{purged:?}");
    script.recorded(&who(), "purge", "events", "done");
}

//! `api-keys`, `keys` and `encrypt`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::build::{CARD, KID, plain, refresh_with, status};
use crate::support::commands::{Output, fed, tokenkeep, with};
use crate::support::key_folder::KeyFolder;
use crate::support::sql::sql;
use crate::support::{App, Backend, START, TestDatabase, keys};

#[rstest]
fn an_api_key_is_printed_alone_and_valid_at_once_until_it_is_revoked(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let api_keys = |args: &[&str]| tokenkeep(&app.database, &[&["api-keys"], args].concat());
    let create = |role: &str, name: &str| api_keys(&["create", "--role", role, "--name", name]);

    let made = create("ops", "night shift");
    assert_eq!(made.code, 0, "{made:?}");
    let key = made.stdout.strip_suffix('\n').unwrap();
    assert!(
        key.starts_with("tk_ops_") && !key.contains(char::is_whitespace),
        "{key}"
    );
    let asked = || {
        app.client
            .get(&app.api_url("/v1/notifications"), key)
            .status
    };
    assert_eq!(asked(), 200);
    assert_ne!(create("ops", "day shift").stdout, made.stdout);

    assert_eq!(create("app", "night shift").code, 2, "the name is taken");
    let listed = api_keys(&["list", "--json"]);
    let document: Value = serde_json::from_str(&listed.stdout).unwrap();
    let listed_keys = document["apiKeys"].as_array().unwrap();
    let names: Vec<&str> = listed_keys
        .iter()
        .map(|key| key["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["app", "day shift", "night shift", "ops"]);
    for shown in [&listed.stdout, &api_keys(&["list"]).stdout] {
        assert!(
            shown.contains("night shift") && !shown.contains(&key[7..]),
            "{shown}"
        );
    }

    assert_eq!(api_keys(&["revoke", "night shift"]).code, 0);
    assert_eq!(asked(), 401);
    assert_eq!(api_keys(&["revoke", "night shift"]).code, 1);
    assert_eq!(
        create("ops", "night shift").code,
        2,
        "a revoked name is not used again"
    );
}

/// Runs `keys` on a folder.
fn run_keys(folder: &Path, args: &[&str]) -> Output {
    let database = TestDatabase::new(Backend::Sqlite);
    let folder = folder.to_string_lossy();
    with(
        &database,
        &[&["keys"], args].concat(),
        &[("TOKENKEEP_KEYS", &folder)],
    )
}

/// Every file in the folders of a folder with its content and mode.
fn files(folder: &Path) -> Vec<(String, Vec<u8>, u32)> {
    let mut found = Vec::new();
    let inner = fs::read_dir(folder).unwrap().flatten();
    for inner in inner.filter(|entry| entry.path().is_dir()) {
        for file in fs::read_dir(inner.path()).unwrap() {
            let path = file.unwrap().path();
            let name = path
                .strip_prefix(folder)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            found.push((name, fs::read(&path).unwrap(), mode));
        }
    }
    found.sort();
    found
}

#[test]
fn keys_generate_makes_what_is_missing_for_its_owner_alone_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let generate = |args: &[&str]| run_keys(folder.path(), &[&["generate"], args].concat());
    let made = generate(&["--kid", "mine", "--bits", "2048"]);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(
        made.stdout.contains("-----BEGIN PUBLIC KEY-----"),
        "{made:?}"
    );
    assert!(!made.stdout.contains("PRIVATE"), "{made:?}");
    let first = files(folder.path());
    let names: Vec<&str> = first.iter().map(|(name, ..)| name.as_str()).collect();
    assert!(
        names[0] == "payload/mine.pem" && names[1].starts_with("storage/"),
        "{names:?}"
    );
    assert!(first.iter().all(|(_, _, mode)| *mode == 0o600), "{names:?}");

    for args in [vec!["--kid", "mine", "--bits", "2048"], vec![]] {
        let again = generate(&args);
        assert!(
            again.code == 0 && again.stdout.contains("Nothing is missing"),
            "{again:?}"
        );
        assert_eq!(files(folder.path()), first);
    }
    assert_eq!(generate(&["--kid", "other", "--bits", "2048"]).code, 0);
    let second = files(folder.path());
    assert_eq!(second.len(), 3);
    assert!(first.iter().all(|file| second.contains(file)));
    for wrong in [
        ["--kid", "../up", "--bits", "2048"],
        ["--kid", "small", "--bits", "1024"],
    ] {
        assert_eq!(generate(&wrong).code, 2);
    }
    assert_eq!(files(folder.path()), second);
    let check = run_keys(folder.path(), &["check"]);
    assert_eq!(check.code, 0, "{check:?}");
    assert!(!check.stdout.contains("not for production"), "{check:?}");
}

#[rstest]
fn p20_keys_generate_leaves_no_file_where_it_cannot_be_recorded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let database = TestDatabase::new(backend);
    let folder = KeyFolder::copy();
    let generate = || {
        let keys = [("TOKENKEEP_KEYS", folder.path().to_str().unwrap())];
        let arguments = ["keys", "generate", "--kid", "new", "--bits", "2048"];
        with(&database, &arguments, &keys)
    };
    assert_eq!(with(&database, &["migrate"], &[]).code, 0);
    let before = files(folder.path());
    sql(&database).refuse_inserts("audit", "NEW.act = 'keys.generate'");
    let refused = generate();
    assert_eq!((refused.code, &*refused.stdout), (1, ""), "{refused:?}");
    assert_eq!(files(folder.path()), before);
    sql(&database).accept_inserts("audit");
    // A storage key that is there, but cannot be used or found, does not make these the first keys.
    let key = folder.path().join("storage/demo-storage.key");
    let sound = fs::read(&key).unwrap();
    fs::write(&key, "no key").unwrap();
    let unreadable = generate();
    assert_eq!(unreadable.code, 2, "{unreadable:?}");
    fs::rename(&key, key.with_extension("gone")).unwrap();
    let missing = generate();
    assert_eq!(missing.code, 2, "keys.toml names one: {missing:?}");
    fs::remove_file(key.with_extension("gone")).unwrap();
    fs::write(&key, sound).unwrap();
    let names = |found: Vec<(String, Vec<u8>, u32)>| -> Vec<String> {
        found.into_iter().map(|(name, ..)| name).collect()
    };
    assert_eq!(names(files(folder.path())), names(before.clone()));
    assert_eq!(generate().code, 0);
    assert_eq!(files(folder.path()).len(), before.len() + 1);
    println!("P-20 keys generate: 3 of 3 refused before any file was written");
}

#[test]
fn keys_check_says_what_is_wrong_and_where_without_the_key() {
    let folder = KeyFolder::copy();
    let check = run_keys(folder.path(), &["check"]);
    assert!(
        check.code == 0 && check.stdout.contains("demonstration"),
        "{check:?}"
    );

    folder.put("broken", b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n");
    let check = run_keys(folder.path(), &["check"]);
    assert!(
        check.code == 1 && check.stderr.contains("payload/broken.pem"),
        "{check:?}"
    );
    assert!(!check.stderr.contains("c2VjcmV0"), "{check:?}");
    folder.remove("broken");

    let twin = fs::read(folder.path().join(format!("payload/{KID}.pem"))).unwrap();
    folder.put("twin", &twin);
    let check = run_keys(folder.path(), &["check"]);
    assert!(
        check.code == 1 && check.stderr.contains("twin"),
        "{check:?}"
    );
    folder.remove("twin");

    fs::remove_file(folder.path().join("storage/demo-storage.key")).unwrap();
    let check = run_keys(folder.path(), &["check"]);
    assert!(
        check.code == 1 && check.stderr.contains("demo-storage"),
        "{check:?}"
    );
}

#[test]
fn keys_check_is_not_content_with_demonstration_keys_in_production() {
    let database = TestDatabase::new(Backend::Sqlite);
    let production = [("TOKENKEEP_ENVIRONMENT", "production")];
    let check = with(&database, &["keys", "check"], &production);
    assert!(
        check.code == 1 && check.stderr.contains("demonstration"),
        "{check:?}"
    );
}

#[test]
fn keys_list_shows_kids_fingerprints_and_what_each_is_for() {
    let listed = run_keys(&keys(), &["list", "--json"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    let document: Value = serde_json::from_str(&listed.stdout).unwrap();
    let first = &document["payload"][0];
    assert_eq!(first["kid"], KID);
    assert_eq!(
        (&first["default"], &first["retired"]),
        (&json!(true), &json!(false))
    );
    let text = run_keys(&keys(), &["list"]).stdout;
    for key in document["payload"].as_array().unwrap() {
        for name in ["kid", "fingerprint"] {
            assert!(text.contains(key[name].as_str().unwrap()), "{text}");
        }
    }
    assert!(!text.contains("PRIVATE") && !listed.stdout.contains("PRIVATE"));
}

/// Runs `encrypt` for the demonstration key.
fn encrypt(args: &[&str], plaintext: &str) -> Output {
    let database = TestDatabase::new(Backend::Sqlite);
    let key = keys().join(format!("payload/{KID}.pem"));
    let to_key = ["encrypt", "--key", &key.to_string_lossy()];
    fed(&database, &[&to_key, args].concat(), plaintext)
}

const PAYMENT: &str = r#"{"paymentToken": {"paymentToken": "5480980000000011",
    "tokenExpirationMonth": "12", "tokenExpirationYear": "2031"}}"#;

#[rstest]
#[case::plain(&[])]
#[case::named(&["--kid", KID])]
#[case::from_standard_input_by_name(&["-"])]
#[case::as_mastercards_library(&["--enc", "A256GCM", "--iv", "16", "--kid", KID])]
fn what_encrypt_makes_is_opened_by_the_service(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
    #[case] args: &[&str],
) {
    let app = App::spawn(backend);
    let made = encrypt(args, PAYMENT);
    assert_eq!(made.code, 0, "{made:?}");
    app.deliver(&plain(&[refresh_with(CARD, START, made.stdout.trim_end())]));
    assert_eq!(app.verdicts(CARD), ["applied"]);

    let list = json!([status("another", Some(START), "ACTIVE")]);
    let made = encrypt(&[args, &["--body"]].concat(), &list.to_string());
    app.deliver(&serde_json::from_str(&made.stdout).unwrap());
    assert_eq!(app.verdicts("another"), ["applied"]);
}

#[test]
fn encrypt_refuses_what_it_cannot_make_without_an_echo() {
    for (args, plaintext) in [
        (vec![], "not json 5480980000000099"),
        (vec!["--enc", "A128KW"], "{}"),
        (vec!["--iv", "13"], "{}"),
        (vec!["elsewhere.json"], "{}"),
    ] {
        let refused = encrypt(&args, plaintext);
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (2, ""),
            "{refused:?}"
        );
        assert!(!refused.stderr.contains("5480"), "{refused:?}");
    }
}

//! What production refuses: a key folder that others could read or change, and numbers in clear on a network.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rstest::rstest;
use tempfile::TempDir;
use tokenkeep::jose::KeyFolder as Watched;
use tokenkeep::jose::{OpenPolicy, Reload};
use tokenkeep::store::{DatabaseUrl, Store};

use crate::door_production::{keys, refusal_with};
use crate::support::commands::with;
use crate::support::key_folder::LateKey;
use crate::support::{Backend, TestDatabase};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A key folder with the trust anchors and a program's key beside the private ones.
fn whole() -> (TempDir, Vec<(PathBuf, u32)>) {
    let keys = keys();
    let at = |name: &str| keys.path().join(name);
    for folder in ["verification", "mounted"] {
        fs::create_dir(at(folder)).unwrap();
        chmod(&at(folder), 0o755);
    }
    for file in ["keys.toml", "verification/mastercard.json"] {
        fs::write(at(file), "").unwrap();
        chmod(&at(file), 0o644);
    }
    let payload = fs::read_dir(at("payload")).unwrap().next().unwrap();
    let found = vec![
        (payload.unwrap().path(), 0o644),
        (at("storage"), 0o770),
        (at("keys.toml"), 0o666),
        (at("verification/mastercard.json"), 0o664),
        (at("verification"), 0o777),
        (at("tls/authorities.pem"), 0o646),
        (at("mounted"), 0o775),
        (at(""), 0o757),
    ];
    (keys, found)
}

#[test]
fn p09_a_key_folder_that_others_could_read_or_change_is_refused_in_production() {
    let (keys, exposed) = whole();
    assert_eq!(refusal_with(&keys, |_| {}), None);
    for (path, mode) in &exposed {
        let before = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        chmod(path, *mode);
        let told = refusal_with(&keys, |_| {}).expect("a refusal");
        let name = path.to_string_lossy();
        assert!(told.contains(name.trim_end_matches('/')), "{told}");
        assert!(told.ends_with(": not in production"), "{told}");
        chmod(path, before);
    }
    assert_eq!(refusal_with(&keys, |_| {}), None);
    println!(
        "P-09 {} of {} exposed places refused",
        exposed.len(),
        exposed.len()
    );
}

#[test]
fn p09_a_key_file_of_another_owner_is_refused_in_production() {
    let (keys, exposed) = whole();
    let file = &exposed[0].0;
    // Only root may give a file away.
    if chown(file, Some(12_345), None).is_err() {
        println!("P-09 another owner: not tried, for want of the right to give a file away");
        return;
    }
    let told = refusal_with(&keys, |_| {}).expect("a refusal");
    assert!(
        told.contains("belongs neither to this user nor to root"),
        "{told}"
    );
}

#[test]
fn p09_keys_that_lie_with_the_data_are_refused_in_production() {
    let keys = keys();
    let data = tempfile::tempdir().unwrap();
    let inside = data.path().join("keys");
    fs::rename(keys.path(), &inside).unwrap();
    for (folder, database) in [
        (&inside, data.path().join("tokenkeep.db")),
        (&inside, inside.join("tokenkeep.db")),
        (&inside, inside.join("payload/tokenkeep.db")),
    ] {
        let told = refusal_with(&data, |settings| {
            settings.keys = folder.clone();
            settings.database_url = database.display().to_string();
        });
        let told = told.expect("a refusal");
        assert!(
            told.starts_with("the key folder and the data lie"),
            "{told}"
        );
    }
    let beside = data.path().join("data");
    fs::create_dir(&beside).unwrap();
    let database = beside.join("tokenkeep.db").display().to_string();
    Store::migrate(&DatabaseUrl::parse(&database).unwrap()).unwrap();
    let told = refusal_with(&data, |settings| {
        settings.keys = inside.clone();
        settings.database_url = database;
    });
    assert_eq!(told, None);
}

#[test]
fn p09_a_reload_in_production_refuses_what_a_start_would() {
    let keys = keys();
    let mut watched = Watched::load(
        keys.path().to_owned(),
        OpenPolicy::default(),
        Some(Duration::ZERO),
    )
    .unwrap()
    .in_production(Vec::new());
    let put = |name: &str, content: &[u8], mode: u32| {
        let path = keys.path().join("payload").join(name);
        fs::write(&path, content).unwrap();
        chmod(&path, mode);
        path
    };
    let demonstration = fs::read(crate::support::keys().join("payload/demo-payload-2026.pem"));
    let known = put("known.pem", &demonstration.unwrap(), 0o600);
    assert_eq!(
        watched.reload_if_changed(|_, _| Ok(Ok(()))),
        Reload::Refused
    );
    fs::remove_file(known).unwrap();
    assert_eq!(watched.reload_if_changed(|_, _| Ok(Ok(()))), Reload::Loaded);
    let late = LateKey::new("late");
    let path = put("late.pem", &late.pem, 0o666);
    assert_eq!(
        watched.reload_if_changed(|_, _| Ok(Ok(()))),
        Reload::Refused
    );
    assert_eq!(watched.keyring().keys().count(), 1);
    chmod(&path, 0o600);
    assert_eq!(watched.reload_if_changed(|_, _| Ok(Ok(()))), Reload::Loaded);
    assert_eq!(watched.keyring().keys().count(), 2);
}

#[test]
fn production_refuses_an_api_on_a_network_that_is_not_said_to_be_private() {
    let keys = keys();
    let on = |address: &str, is_private: bool| {
        refusal_with(&keys, |settings| {
            settings.api_listen = address.to_owned();
            settings.api_network_is_private = is_private;
        })
    };
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.7:0", "elsewhere.example:0"] {
        let told = on(address, false).expect("a refusal");
        assert!(told.contains("api_network_is_private"), "{address}: {told}");
    }
    assert_eq!(on("0.0.0.0:0", true), None);
    for address in ["127.0.0.1:0", "localhost:0"] {
        assert_eq!(on(address, false), None);
    }
}

#[rstest]
#[case::bare("postgres://keeper@192.0.2.7/tokens")]
#[case::require("postgres://keeper@db.example/tokens?sslmode=require")]
fn production_refuses_a_database_that_is_reached_in_clear(#[case] url: &str) {
    let keys = keys();
    let told = refusal_with(&keys, |settings| settings.database_url = url.to_owned());
    let told = told.expect("a refusal");
    assert!(told.contains("database_network_is_private"), "{told}");
    // So does every command that opens it, before it connects.
    let database = TestDatabase::new(Backend::Sqlite);
    let variables = [
        ("TOKENKEEP_ENVIRONMENT", "production"),
        ("TOKENKEEP_KEYS", keys.path().to_str().unwrap()),
        ("TOKENKEEP_API_LISTEN", "0.0.0.0:8081"),
        ("DATABASE_URL", url),
    ];
    let output = with(&database, &["cards", "list"], &variables);
    assert_eq!(output.code, 2, "{output:?}");
    assert!(
        output.stderr.contains("database_network_is_private"),
        "{output:?}"
    );
    let output = with(&database, &["check"], &variables);
    for setting in ["api_network_is_private", "database_network_is_private"] {
        assert!(
            output.code == 1 && output.stderr.contains(setting),
            "{output:?}"
        );
    }
}

#[test]
fn check_names_the_settings_that_take_a_network_for_private() {
    let keys = keys();
    let database = TestDatabase::new(Backend::Sqlite);
    let variables = [
        ("TOKENKEEP_KEYS", keys.path().to_str().unwrap()),
        ("TOKENKEEP_API_LISTEN", "0.0.0.0:8081"),
        ("TOKENKEEP_DATABASE_NETWORK_IS_PRIVATE", "true"),
    ];
    let output = with(&database, &["check"], &variables);
    for line in [
        "network: database_network_is_private is set",
        "network: not for production: api_listen is reached from other machines",
    ] {
        assert!(output.stdout.contains(line), "{output:?}");
    }
}

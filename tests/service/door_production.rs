//! In production the public listener knows its sender, or the service does not start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use tokenkeep::commands::Service;
use tokenkeep::jose::missing_keys;
use tokenkeep::settings::{Environment, Role, Settings};
use tokenkeep::store::{DatabaseUrl, Store};
use tokenkeep::telemetry::Clock;

use crate::support::certificates::Certificate;
use crate::support::commands::with;
use crate::support::tls::ASKING;
use crate::support::{Backend, TestDatabase};
use crate::wire_settings::load;

/// Keys that nobody else has, and certificates.
pub fn keys() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for key in missing_keys(folder.path(), None, 2048, "2026-11-22").unwrap() {
        key.make().unwrap();
    }
    let tls = folder.path().join("tls");
    fs::create_dir(&tls).unwrap();
    let authority = Certificate::authority("Authority");
    fs::write(tls.join("server.pem"), authority.pem()).unwrap();
    fs::write(tls.join("authorities.pem"), authority.pem()).unwrap();
    fs::write(tls.join("server.key"), authority.key_pem()).unwrap();
    let only_ours = fs::Permissions::from_mode(0o600);
    fs::set_permissions(tls.join("server.key"), only_ours).unwrap();
    folder
}

/// Starts a service in production; returns why it does not start.
fn refusal(keys: &TempDir, text: &str, roles: &[Role]) -> Option<String> {
    refusal_with(keys, |settings| {
        settings.roles = roles.to_vec();
        settings.receiver = load(text).unwrap().receiver;
    })
}

/// The same with changed settings.
pub fn refusal_with(keys: impl AsRef<Path>, change: impl FnOnce(&mut Settings)) -> Option<String> {
    let database = TestDatabase::new(Backend::Sqlite);
    let mut settings = Settings::defaults().unwrap();
    settings.environment = Environment::Production;
    settings.listen = "127.0.0.1:0".to_owned();
    settings.api_listen = "127.0.0.1:0".to_owned();
    settings.database_url = database.url();
    settings.keys = keys.as_ref().to_owned();
    settings.roles = vec![Role::Process];
    change(&mut settings);
    Store::migrate(&DatabaseUrl::parse(&database.url()).unwrap()).unwrap();
    match Service::start(&settings, Clock::system()) {
        Ok(service) => {
            service.stop().unwrap();
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn production_starts_only_with_a_listener_that_knows_its_sender() {
    let keys = keys();
    let all = [Role::Receive, Role::Process, Role::Dispatch];
    let own_only = "[receiver.tls]\ncertificate = \"tls/server.pem\"\n\
                    private_key = \"tls/server.key\"\n";
    let optional = format!("{ASKING}client_required = false\n");
    for open in ["", own_only, &optional] {
        let told = refusal(&keys, open, &all).expect("a refusal");
        assert!(told.starts_with("nobody knows who delivers: "), "{told}");
        assert_eq!(refusal(&keys, open, &[Role::Process]), None);
    }
    assert_eq!(refusal(&keys, ASKING, &all), None);
    let proxy = "[receiver.proxy]\ntrusted = [\"10.0.0.0/8\"]\n";
    assert_eq!(refusal(&keys, proxy, &all), None);
}

#[test]
fn production_refuses_a_listeners_key_that_others_may_read() {
    let keys = keys();
    let key = keys.path().join("tls/server.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let told = refusal(&keys, ASKING, &[Role::Receive]).expect("a refusal");
    assert!(
        told.contains("server.key may be read or written by others"),
        "{told}"
    );
}

#[test]
fn an_authority_alone_is_refused_at_the_start_whatever_the_environment() {
    let alone = ASKING.replace("client_subjects = [\"cn:ws.sender.example\"]\n", "");
    let told = load(&alone).expect_err("a mistake");
    let expected =
        "receiver.tls.client_authorities: a certificate authority alone is no authentication";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn check_tells_how_long_each_certificate_lasts_and_which_cannot_be_used() {
    let keys = keys();
    let database = TestDatabase::new(Backend::Sqlite);
    let settings = keys.path().join("tokenkeep.toml");
    fs::write(&settings, ASKING).unwrap();
    let variables = [
        ("TOKENKEEP_KEYS", keys.path().to_str().unwrap()),
        ("TOKENKEEP_CONFIG", settings.to_str().unwrap()),
    ];
    let output = with(&database, &["check"], &variables);
    assert_eq!(output.code, 0, "{output:?}");
    for line in [
        "listener: it knows who delivers",
        "listener: tls/server.pem can be used, days left: 30",
        "listener: tls/authorities.pem can be used, days left: 30",
    ] {
        assert!(output.stdout.contains(line), "{output:?}");
    }
    fs::write(keys.path().join("tls/authorities.pem"), "not a certificate").unwrap();
    let output = with(&database, &["check"], &variables);
    assert_eq!(output.code, 1);
    let told = "authorities.pem: holds no certificate in PEM form";
    assert!(output.stderr.contains(told), "{output:?}");
}

//! P-11: keys of every kind that is trusted, and starts of several processes at once.

use std::fs;

use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::SslVersion;
use rstest::rstest;
use serde_json::Value;
use tokenkeep::commands::Service;
use tokenkeep::telemetry::Clock;

use crate::keys_approval::{acts, approve, run, start_error};
use crate::support::audit::{Watch, records, store};
use crate::support::build::KID;
use crate::support::certificates::{Certificate, Wish};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::tls::{ASKING, SENDER, TlsFolder, post, sender};
use crate::support::{App, Backend, wait_until};
use crate::wire_settings::load;

/// One program of each kind. Nothing is called.
pub const PROGRAMS: &str = r#"
[programs.shop]
kind = "mastercard-checkout"
base_url = "http://127.0.0.1:9/shop"
src_client_id = "client"
service_id = "service"
consumer_key = "demo-consumer"
signing_key = "signing/demo-signing.pem"
[programs.issuer]
kind = "mastercard-processing"
base_url = "http://127.0.0.1:9/issuer"
consumer_key = "demo-consumer"
signing_key = "signing/demo-signing.pem"
encryption_key = "encryption/sandbox.pem"
[programs.bank]
kind = "alliance"
base_url = "http://127.0.0.1:9"
kid = "demo"
signing_key = "signing/demo-alliance.pem"
verification_keys = "verification/alliance/sandbox.json"
"#;

/// A purpose, the name of a key for it, and the file in which another one comes.
type Kind = (&'static str, &'static str, &'static str);
const KINDS: [Kind; 5] = [
    (
        "verification",
        "tokenkeep-sandbox-payload-verification",
        "verification/sandbox.json",
    ),
    (
        "encryption",
        "encryption/sandbox.pem",
        "encryption/sandbox.pem",
    ),
    (
        "signing",
        "signing/demo-signing.pem",
        "signing/demo-signing.pem",
    ),
    ("storage", "demo-storage", "storage/demo-storage.key"),
    (
        "payload",
        "demo-payload-2025",
        "payload/demo-payload-2025.pem",
    ),
];

/// Another valid key in the form of a file of this purpose.
fn another(purpose: &str, before: &[u8]) -> Vec<u8> {
    let rsa = Rsa::generate(2048).unwrap();
    match purpose {
        "verification" => {
            let mut set: Value = serde_json::from_slice(before).unwrap();
            let n = openssl::base64::encode_block(&rsa.n().to_vec());
            let n = n.replace('+', "-").replace('/', "_").replace('=', "");
            set["keys"][0]["n"] = n.into();
            set.to_string().into_bytes()
        }
        "encryption" => rsa.public_key_to_pem().unwrap(),
        "storage" => format!("{}\n", "5a".repeat(32)).into_bytes(),
        _ => PKey::from_rsa(rsa)
            .unwrap()
            .private_key_to_pem_pkcs8()
            .unwrap(),
    }
}

#[rstest]
fn p11_no_kind_of_key_is_exchanged_over_a_restart_without_approval(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::whole();
    let mut app = App::spawn_with(backend, |settings| {
        settings.keys = keys.path().to_owned();
        settings.programs = load(PROGRAMS).unwrap().programs;
    });
    app.stop();
    let config = keys.path().join("tokenkeep.toml");
    fs::write(&config, PROGRAMS).unwrap();
    let config = config.to_str().unwrap();
    let mut refused = 0;
    for (purpose, kid, file) in KINDS {
        let file = keys.path().join(file);
        let before = fs::read(&file).unwrap();
        fs::write(&file, another(purpose, &before)).unwrap();
        let mut watch = Watch::begin(&app.database);
        let told = start_error(&app).unwrap_or_default();
        assert!(
            told.contains(purpose) && told.contains(kid),
            "{purpose}: {told}"
        );
        let recorded = acts(&watch.new_records(), "keys.refuse").len();
        // A record under a key that is not the known one would be found bad later.
        assert_eq!(recorded, usize::from(purpose != "storage"), "{purpose}");
        let list = run(&app.database, &keys, &["cards", "list"]);
        assert_eq!(
            list.code,
            if purpose == "storage" { 2 } else { 0 },
            "{list:?}"
        );
        let arguments = [
            "keys", "approve", kid, "--reason", "test", "--config", config,
        ];
        let approved = run(&app.database, &keys, &arguments);
        assert_eq!(approved.code, 0, "{purpose}: {approved:?}");
        assert_eq!(start_error(&app), None, "{purpose}");
        refused += 1;
    }
    println!(
        "P-11 {refused} of {} kinds of keys refused at a restart until approved",
        KINDS.len()
    );
}

#[test]
fn p11_another_authority_of_a_known_subject_is_refused_at_reload_until_it_is_approved() {
    let (known, forged) = (
        Certificate::authority("Known"),
        Certificate::authority("Known"),
    );
    let folder = TlsFolder::new(&[&known]);
    let app = folder.spawn(ASKING);
    let of = |authority: &Certificate| {
        let own = authority.issue(&Wish::client(&[SENDER]));
        sender(Some(&own), SslVersion::TLS1_3)
    };
    let is_let_in = |authority: &Certificate| {
        post(app.public(), &of(authority)).is_some_and(|answer| answer.status == 204)
    };
    let mut watch = Watch::begin(&app.database);
    folder.put_authorities(&[&forged]);
    let mut found = Vec::new();
    wait_until("the refusal is recorded", || {
        found.extend(watch.new_records());
        !acts(&found, "keys.refuse").is_empty()
    });
    assert!(is_let_in(&known) && !is_let_in(&forged));
    let details: Value = serde_json::from_str(&found[0].details).unwrap();
    assert_eq!(details[0]["purpose"], "client-authority");
    let config = folder.path().join("tokenkeep.toml");
    fs::write(&config, ASKING).unwrap();
    let subject = details[0]["kid"].as_str().unwrap();
    let approve = [
        "keys",
        "approve",
        subject,
        "--reason",
        "x",
        "--config",
        config.to_str().unwrap(),
    ];
    let keys = folder.path().to_str().unwrap();
    let approved =
        crate::support::commands::with(&app.database, &approve, &[("TOKENKEEP_KEYS", keys)]);
    assert_eq!(approved.code, 0, "{approved:?}");
    wait_until("the approved authority is trusted", || is_let_in(&forged));
    assert!(!is_let_in(&known));
    println!("P-11 an authority of a known subject: refused, approved, trusted without a restart");
}

#[test]
fn p11_of_processes_that_start_first_at_once_one_records_the_keys_and_the_others_agree() {
    let begin = |folders: &[KeyFolder], app: &App| -> usize {
        let start = |folder: &KeyFolder| {
            let mut settings = app.settings.clone();
            settings.keys = folder.path().to_owned();
            let started = Service::start(&settings, Clock::system());
            let service = started.map_err(|error| error.to_string());
            service.map(|service| service.stop().unwrap())
        };
        std::thread::scope(|scope| {
            let threads = folders
                .iter()
                .map(|folder| scope.spawn(move || start(folder)));
            let threads: Vec<_> = threads.collect();
            let ended = threads.into_iter().map(|thread| thread.join().unwrap());
            ended.filter(Result::is_ok).count()
        })
    };
    let late = LateKey::new("payload-2027");
    let mut app = App::spawn(Backend::Postgres);
    app.stop();
    let same: Vec<KeyFolder> = (0..4).map(|_| KeyFolder::copy()).collect();
    same.iter()
        .for_each(|folder| folder.put(late.kid, &late.pem));
    assert_eq!(begin(&same, &app), 4);
    let found = records(&store(&app.database));
    let trusted = acts(&found, "keys.trust");
    let of_late = trusted
        .iter()
        .filter(|record| record.details.contains(late.kid));
    assert_eq!(of_late.count(), 1, "{trusted:#?}");

    let different: Vec<KeyFolder> = (0..4).map(|_| KeyFolder::copy()).collect();
    for folder in &different {
        folder.put("payload-2028", &LateKey::new("payload-2028").pem);
    }
    assert_eq!(begin(&different, &app), 1);
    let found = records(&store(&app.database));
    assert_eq!(acts(&found, "keys.refuse").len(), 3);
    println!(
        "P-11 of 4 first starts with 4 keys under one kid 1 is let in; with one key all 4, recorded once"
    );
}

#[test]
fn p11_one_key_of_two_programs_is_approved_for_both_at_once() {
    let keys = KeyFolder::whole();
    let mut app = App::spawn_with(Backend::Sqlite, |settings| {
        settings.keys = keys.path().to_owned();
        settings.programs = load(PROGRAMS).unwrap().programs;
    });
    app.stop();
    fs::write(
        keys.path().join("signing/demo-signing.pem"),
        LateKey::new(KID).pem,
    )
    .unwrap();
    // Without its programs the key is not loaded.
    let alone = approve(&app.database, &keys, "signing/demo-signing.pem");
    assert!(alone.stderr.contains("no key of this name"), "{alone:?}");
    let config = keys.path().join("tokenkeep.toml");
    fs::write(&config, PROGRAMS).unwrap();
    let config = config.to_str().unwrap();
    let arguments = [
        "keys",
        "approve",
        "signing/demo-signing.pem",
        "--reason",
        "x",
        "--json",
    ];
    let approved = run(
        &app.database,
        &keys,
        &[&arguments[..], &["--config", config]].concat(),
    );
    let programs = approved.json()["approved"].as_array().unwrap().len();
    assert_eq!((approved.code, programs), (0, 2), "{approved:?}");
    assert_eq!(start_error(&app), None);
}

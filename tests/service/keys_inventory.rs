//! P-12: what `check` and `keys list` say of cryptography is what the service does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use insta::assert_snapshot;
use openssl::asn1::Asn1Time;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::ssl::{SslConnector, SslMethod, SslOptions, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use serde_json::Value;
use tokenkeep::api::access::AccessRole;
use tokenkeep::telemetry::Clock;

use crate::keys_kinds::PROGRAMS;
use crate::support::certificates::{Certificate, Wish, rsa_key};
use crate::support::commands::{Output, with};
use crate::support::key_folder::KeyFolder;
use crate::support::tls::{ASKING, TlsFolder};
use crate::support::{App, Backend, TestDatabase};
use crate::wire_settings::load;

const DAY: i64 = 86_400;
/// The listener's own certificate, and nobody else's.
const OWN: &str =
    "[receiver.tls]\ncertificate = \"tls/server.pem\"\nprivate_key = \"tls/server.key\"\n";
/// What a client may ask for, by OpenSSL's names and those of the handshake.
const VERSIONS: [(SslVersion, &str); 4] = [
    (SslVersion::TLS1, "TLS 1.0"),
    (SslVersion::TLS1_1, "TLS 1.1"),
    (SslVersion::TLS1_2, "TLS 1.2"),
    (SslVersion::TLS1_3, "TLS 1.3"),
];
const SUITES_1_3: [&str; 5] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_CCM_SHA256",
    "TLS_AES_128_CCM_8_SHA256",
];

/// A client of one version, without the cipher suites that were found already.
fn client(version: SslVersion, found: &BTreeSet<String>) -> Option<SslConnector> {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    builder.set_security_level(0);
    builder.clear_options(SslOptions::NO_TLSV1 | SslOptions::NO_TLSV1_1);
    builder.set_min_proto_version(Some(version)).unwrap();
    builder.set_max_proto_version(Some(version)).unwrap();
    if version == SslVersion::TLS1_3 {
        let rest = SUITES_1_3.iter().filter(|suite| !found.contains(**suite));
        let rest: Vec<&str> = rest.copied().collect();
        builder.set_ciphersuites(&rest.join(":")).ok()?;
        return (!rest.is_empty()).then(|| builder.build());
    }
    let without: String = found.iter().map(|suite| format!(":!{suite}")).collect();
    let list = format!("ALL:COMPLEMENTOFALL{without}:@SECLEVEL=0");
    builder.set_cipher_list(&list).ok()?;
    Some(builder.build())
}

/// Every cipher suite that a listener negotiates in a version.
fn scan(app: &App, version: SslVersion) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    while let Some(client) = client(version, &found) {
        let stream = std::net::TcpStream::connect(app.public()).unwrap();
        let mut setup = client.configure().unwrap();
        setup.set_verify_hostname(false);
        let Ok(stream) = setup.connect("localhost", stream) else {
            break;
        };
        let negotiated = stream.ssl().current_cipher().unwrap().name().to_owned();
        assert!(found.insert(negotiated), "{found:?}");
    }
    found
}

fn text_list(value: &Value) -> BTreeSet<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// A folder, and a service on it with these settings.
fn served(folder: &TlsFolder, text: &str) -> (App, String) {
    let config = folder.path().join("tokenkeep.toml");
    fs::write(&config, text).unwrap();
    (folder.spawn(text), config.to_str().unwrap().to_owned())
}

fn listed(app: &App, folder: &TlsFolder, config: &str) -> Value {
    let keys = folder.path().to_str().unwrap();
    let arguments = ["keys", "list", "--json", "--config", config];
    with(&app.database, &arguments, &[("TOKENKEEP_KEYS", keys)]).json()
}

#[test]
fn p12_what_is_listed_of_tls_is_what_a_scan_of_the_listener_finds() {
    let folder = TlsFolder::new(&[]);
    let mut compared = 0;
    for kind in ["RSA", "EC"] {
        let key = (kind == "RSA").then(|| rsa_key(2048));
        let own = Certificate::self_signed(&Wish {
            is_for_clients: false,
            key,
            ..Wish::client(&["localhost"])
        });
        folder.put("server.pem", &own.pem());
        folder.put("server.key", &own.key_pem());
        let (app, config) = served(&folder, OWN);
        let inventory = listed(&app, &folder, &config);
        let public = &inventory["listeners"][0];
        assert_eq!(public["name"], "public");
        for (version, name) in VERSIONS {
            let versions = public["tls"].as_array().unwrap();
            let listed = versions.iter().find(|of| of["name"] == name);
            let listed = listed.map_or_else(BTreeSet::new, |of| text_list(&of["ciphers"]));
            let found = scan(&app, version);
            assert_eq!(listed, found, "{kind} {name}");
            compared += found.len();
        }
        assert_eq!(inventory["listeners"][1]["tls"], serde_json::json!([]));
    }
    println!(
        "P-12 {compared} cipher suites of 4 versions and 2 kinds of keys: listed = negotiated"
    );
    assert!(compared >= 12, "{compared}");
}

/// Settings of a listener with an authority, and of one program of each kind, two of them with certificates.
fn everything() -> String {
    let issuer = "encryption_key = \"encryption/sandbox.pem\"";
    let settings = PROGRAMS.replacen("signing/demo-signing.pem", "signing/shop.p12", 1);
    let settings = settings.replace(issuer, "encryption_key = \"encryption/issuer.pem\"");
    format!("{ASKING}{settings}")
}

/// Certificates by the files they are put into.
struct Certificates(Vec<(&'static str, Certificate)>);

impl Certificates {
    fn put(folder: &KeyFolder) -> Self {
        let valid = |days: i64, name: &'static str| {
            Certificate::self_signed(&Wish {
                valid: (-1, days),
                is_for_clients: false,
                key: Some(rsa_key(2048)),
                ..Wish::client(&[name])
            })
        };
        let (own, issuer, shop) = (
            valid(30, "localhost"),
            valid(400, "issuer"),
            valid(7, "shop"),
        );
        let authority = Certificate::authority("Public Authority");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("tls")).unwrap();
        fs::write(path("tls/server.pem"), own.pem()).unwrap();
        fs::write(path("tls/server.key"), own.key_pem()).unwrap();
        fs::write(path("tls/authorities.pem"), authority.pem()).unwrap();
        fs::write(path("encryption/issuer.pem"), issuer.pem()).unwrap();
        let p12 = Pkcs12::builder().pkey(&shop.key).cert(&shop.own).build2("");
        fs::write(path("signing/shop.p12"), p12.unwrap().to_der().unwrap()).unwrap();
        Self(vec![
            ("tls/server.pem", own),
            ("tls/authorities.pem", authority),
            ("encryption/issuer.pem", issuer),
            ("signing/shop.p12", shop),
        ])
    }
}

fn fingerprint<T: openssl::pkey::HasPublic>(key: &PKey<T>) -> String {
    let digest = sha256(&key.public_key_to_der().unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fingerprints of all private keys and certificates in the files of a folder, read by OpenSSL alone.
fn fingerprints(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for inner in fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        for file in fs::read_dir(inner.path()).unwrap() {
            let Ok(bytes) = fs::read(file.unwrap().path()) else {
                continue;
            };
            if let Ok(key) = PKey::private_key_from_pem(&bytes) {
                found.insert(fingerprint(&key));
            }
            if let Ok(certificate) = X509::from_pem(&bytes) {
                found.insert(fingerprint(&certificate.public_key().unwrap()));
            }
            if let Ok(bag) = Pkcs12::from_der(&bytes).and_then(|bag| bag.parse2("")) {
                found.insert(fingerprint(&bag.pkey.unwrap()));
            }
        }
    }
    found
}

fn run(database: &TestDatabase, folder: &KeyFolder, arguments: &[&str]) -> Output {
    let config = folder.path().join("tokenkeep.toml");
    let variables = [
        ("TOKENKEEP_KEYS", folder.path().to_str().unwrap()),
        ("TOKENKEEP_CONFIG", config.to_str().unwrap()),
    ];
    with(database, arguments, &variables)
}

#[test]
fn p12_what_is_listed_of_keys_is_what_is_in_the_key_folder_and_metrics_tell_when_certificates_end()
{
    let folder = KeyFolder::whole();
    let certificates = Certificates::put(&folder).0;
    fs::write(folder.path().join("tokenkeep.toml"), everything()).unwrap();
    let app = App::spawn_with(Backend::Sqlite, |settings| {
        let loaded = load(&everything()).unwrap();
        settings.receiver = loaded.receiver;
        settings.programs = loaded.programs;
        settings.keys = folder.path().to_owned();
    });
    let inventory = run(&app.database, &folder, &["keys", "list", "--json"]).json();
    let keys = inventory["keys"].as_array().unwrap();
    let listed: BTreeSet<String> = keys
        .iter()
        .filter(|key| key["purpose"] != "storage" && key["purpose"] != "verification")
        .map(|key| key["fingerprint"].as_str().unwrap().to_owned())
        .collect();
    let mut there = fingerprints(folder.path());
    // Nobody's settings name this one.
    there.remove("77cf76b96fd70f494f0276b8ade89a82fb317444ed1b3426d845c5aca14953f7");
    assert_eq!(listed, there);
    let of = |purpose: &str| keys.iter().filter(|key| key["purpose"] == purpose).count();
    assert_eq!(
        (of("storage"), of("verification"), of("payload")),
        (1, 2, 2)
    );

    let metrics = app.client.get(&app.api_url("/metrics"), "").text;
    let now = Asn1Time::days_from_now(0).unwrap();
    let mut worst = 0;
    for (file, certificate) in &certificates {
        let left = now.diff(certificate.own.not_after()).unwrap();
        let key = keys.iter().find(|key| key["file"] == *file).unwrap();
        let days = key["daysLeft"].as_i64().unwrap();
        assert!((days - i64::from(left.days)).abs() <= 1, "{key}");
        let series = format!("tokenkeep_certificate_expires_seconds{{file=\"{file}\"}} ");
        let ends = metrics.lines().find_map(|line| line.strip_prefix(&series));
        let ends: i64 = ends.unwrap().parse().unwrap();
        let epoch = Asn1Time::from_unix(0).unwrap();
        let expected = epoch.diff(certificate.own.not_after()).unwrap();
        let expected = i64::from(expected.days) * DAY + i64::from(expected.secs);
        worst = worst.max((ends - expected).abs());
        assert!((ends - expected).abs() < DAY, "{file}");
    }
    // The console warns 30 days ahead, and shows the days of the others, too.
    app.clock.store(Clock::system().now(), Ordering::SeqCst);
    let operator = app.new_key(AccessRole::Ops, "operator");
    let warned = || -> Vec<bool> {
        let overview = app.sign_in(&operator).page("/console");
        let line = |file: &str| format!("The certificate {file} ends in ");
        let files = certificates.iter().map(|(file, _)| file);
        files.map(|file| overview.contains(&line(file))).collect()
    };
    assert_eq!(warned(), [false, false, false, true], "7 days");
    app.advance(DAY * 1000);
    assert_eq!(warned(), [true, true, false, true], "7 and 30 days");
    let page = app.sign_in(&operator).page("/console/keys");
    for (file, _) in &certificates {
        let row = page.split("<tr>").find(|row| row.contains(file)).unwrap();
        assert!(!row.contains("no end<"), "{row}");
    }
    println!(
        "P-12 {} keys listed = {} in the folder; {} certificates measured, {worst} s off at most",
        listed.len(),
        there.len(),
        certificates.len()
    );
}

#[test]
fn p12_check_ends_with_the_inventory_and_shows_no_key() {
    let folder = KeyFolder::whole();
    let certificates = Certificates::put(&folder).0;
    fs::write(folder.path().join("tokenkeep.toml"), everything()).unwrap();
    let database = TestDatabase::new(Backend::Sqlite);
    let check = run(&database, &folder, &["check"]);
    assert_eq!(check.code, 0, "{check:?}");
    let (_, inventory) = check.stdout.split_once("\n\n").unwrap();
    let list = run(&database, &folder, &["keys", "list"]);
    assert_eq!(list.stdout, inventory);
    let mut shown = inventory.to_owned();
    for (place, (_, certificate)) in certificates.iter().enumerate() {
        let print = fingerprint(&certificate.own.public_key().unwrap());
        shown = shown.replace(&print, &format!("CERTIFICATE-{place}"));
    }
    // The columns are as wide as what stands in them.
    let lines = shown
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    let secret = fs::read_to_string(folder.path().join("storage/demo-storage.key")).unwrap();
    assert!(!check.stdout.contains(secret.trim()) && !check.stdout.contains("PRIVATE"));
}

//! Where secrets may come from: no value that everybody has, no file that others can use, no argument.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::pkcs12::Pkcs12;
use serde_json::json;

use crate::door_production;
use crate::support::build::NUMBER_1;
use crate::support::certificates::{Certificate, Wish, rsa_key};
use crate::support::commands::with;
use crate::support::{Backend, TestDatabase, keys};
use crate::wire_settings::load;

const SHOP: &str = "[programs.shop]\nkind = \"mastercard-checkout\"\n\
    src_client_id = \"c\"\nsrc_dpa_id = \"d\"\nservice_id = \"s\"\nconsumer_key = \"k\"\n\
    verification_url = \"https://keys.example.com/set\"\n";
const BANK: &str = "[programs.bank]\nkind = \"alliance\"\nbase_url = \"https://bank.example.com\"\n\
    kid = \"k\"\nmerchant_id = \"m\"\nverification_url = \"https://bank.example.com/keys\"\n";

/// Starts a service with these programs in production; returns why it does not start.
fn refusal(folder: &Path, text: &str) -> Option<String> {
    let programs = load(text).unwrap().programs;
    door_production::refusal_with(folder, |settings| settings.programs = programs)
}

fn write(file: &Path, content: &[u8], mode: u32) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn p15_each_key_that_everybody_has_is_refused_in_production_beside_keys_of_ones_own() {
    let key = rsa_key(2048);
    let pem = key.private_key_to_pem_pkcs8().unwrap();
    let modulus = URL_SAFE_NO_PAD.encode(key.rsa().unwrap().n().to_vec());
    let set = json!({ "keys": [{ "kty": "RSA", "kid": "own", "n": modulus, "e": "AQAB" }] });
    let program = |program: &str, key: &str| format!("{program}signing_key = \"signing/{key}\"\n");
    let bank = |key: &str, set: &str| {
        program(BANK, key) + &format!("verification_keys = \"verification/{set}\"\n")
    };
    let start = |demonstration: Option<&str>, settings: &str| {
        let folder = door_production::keys();
        write(&folder.path().join("signing/own.pem"), &pem, 0o600);
        let sets = folder.path().join("verification/own.json");
        write(&sets, set.to_string().as_bytes(), 0o600);
        if let Some(file) = demonstration {
            let content = fs::read(keys().join(file)).unwrap();
            write(&folder.path().join(file), &content, 0o600);
        }
        refusal(folder.path(), settings)
    };
    let (own_shop, own_bank) = (program(SHOP, "own.pem"), bank("own.pem", "own.json"));
    for settings in ["", &own_shop, &own_bank] {
        assert_eq!(start(None, settings), None, "{settings}");
    }
    let cases = [
        ("payload/demo-payload-2025.pem", String::new()),
        ("payload/demo-payload-2026.pem", String::new()),
        ("storage/demo-storage.key", String::new()),
        (
            "signing/demo-signing.pem",
            program(SHOP, "demo-signing.pem"),
        ),
        (
            "signing/demo-alliance.pem",
            bank("demo-alliance.pem", "own.json"),
        ),
        ("verification/sandbox.json", own_shop),
        (
            "verification/alliance/sandbox.json",
            bank("own.pem", "alliance/sandbox.json"),
        ),
    ];
    let mut refused = 0;
    for (file, settings) in &cases {
        let told = start(Some(file), settings);
        let told = told.unwrap_or_else(|| panic!("{file}: it started"));
        assert!(told.contains("demonstration keys"), "{file}: {told}");
        refused += 1;
    }
    let tried = cases.len();
    println!("P-15 a default value: {refused} of {tried} demonstration keys refused in production");
}

/// A signing key that opens with this password only.
fn signing_key(password: &str) -> Vec<u8> {
    let made = Certificate::self_signed(&Wish {
        key: Some(rsa_key(2048)),
        ..Wish::client(&["shop"])
    });
    let mut file = Pkcs12::builder();
    file.name("shop").pkey(&made.key).cert(&made.own);
    file.build2(password).unwrap().to_der().unwrap()
}

#[test]
fn p15_a_file_with_a_password_that_others_can_use_is_refused_in_production_wherever_it_lies() {
    let folder = door_production::keys();
    let elsewhere = tempfile::tempdir().unwrap();
    let p12 = folder.path().join("signing/shop.p12");
    write(&p12, &signing_key("hunter2"), 0o600);
    let mounted = elsewhere.path().join("shop-password");
    let mut refused = 0;
    for (named, file) in [
        (
            "signing/shop.password",
            folder.path().join("signing/shop.password"),
        ),
        ("signing/shop.txt", folder.path().join("signing/shop.txt")),
        (mounted.to_str().unwrap(), mounted.clone()),
    ] {
        let settings = format!(
            "{SHOP}signing_key = \"signing/shop.p12\"\nsigning_key_password_file = \"{named}\"\n"
        );
        for mode in [0o644, 0o604, 0o620, 0o602] {
            write(&file, b"hunter2\n", mode);
            let told = refusal(folder.path(), &settings);
            let told = told.unwrap_or_else(|| panic!("{named}, {mode:o}: it started"));
            assert!(told.contains("may be read or written by others"), "{told}");
            assert!(told.contains(&*file.to_string_lossy()), "{told}");
            refused += 1;
        }
        for mode in [0o600, 0o640, 0o400] {
            write(&file, b"hunter2\n", 0o600);
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(refusal(folder.path(), &settings), None, "{named}, {mode:o}");
        }
        fs::remove_file(&file).unwrap();
    }
    println!("P-15 a password file that others can use: {refused} of 12 refused in production");
}

#[test]
fn p15_a_secret_as_an_argument_is_refused_and_not_quoted_whatever_the_command() {
    let database = TestDatabase::new(Backend::Sqlite);
    let status = ["cards", "status", "card", "suspend"];
    let equals = format!("--token={NUMBER_1}");
    let cases = [
        [&status[..], &["--token", NUMBER_1]].concat(),
        [&status[..], &[&equals]].concat(),
        vec!["serve", "--signing-password", NUMBER_1],
        vec![
            "api-keys", "create", "--role", "app", "--name", "n", "--key", NUMBER_1,
        ],
        vec!["keys", "generate", "--storage-key", NUMBER_1],
    ];
    let mut refused = 0;
    for arguments in &cases {
        let output = with(&database, arguments, &[]);
        assert_eq!(output.code, 2, "{output:?}");
        let told = format!("{}{}", output.stdout, output.stderr);
        assert!(
            !told.contains(NUMBER_1),
            "a secret is quoted: {}",
            arguments[0]
        );
        refused += 1;
    }
    println!(
        "P-15 a secret as an argument: {refused} of {} refused, 0 quoted",
        cases.len()
    );
}

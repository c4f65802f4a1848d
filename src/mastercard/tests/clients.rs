//! How a client is made: what must be set, where the password comes from, what an operator is told.

use std::fs;

use tempfile::TempDir;

use super::support::*;
use crate::domain::WireForm;
use crate::mastercard::Client;
use crate::settings::CheckoutSettings;
use crate::telemetry::Clock;
use crate::upstream::ClientError;

const PASSWORD: &str = "keystorepassword";

fn checkout(more: &str) -> CheckoutSettings {
    settings("http://127.0.0.1:9", more).1
}

fn made(settings: &CheckoutSettings, keys: &TempDir) -> Result<Client, ClientError> {
    let (connection, _) = super::support::settings("http://127.0.0.1:9", "");
    let (wire, clock) = (WireForm::default(), Clock::from_fn(|| NOW));
    Client::new("my-shop", &connection, settings, keys.path(), wire, clock)
}

fn refusal(settings: &CheckoutSettings, keys: &TempDir) -> String {
    made(settings, keys).err().unwrap().to_string()
}

#[test]
fn a_program_that_cannot_be_called_says_which_setting_is_empty() {
    let keys = key_folder();
    type Clear = fn(&mut CheckoutSettings);
    let empty: [(&str, Clear); 4] = [
        ("consumer_key", |settings| settings.consumer_key.clear()),
        ("signing_key", |settings| settings.signing_key.clear()),
        ("src_client_id", |settings| settings.src_client_id.clear()),
        ("service_id", |settings| settings.service_id.clear()),
    ];
    for (name, clear) in empty {
        let mut settings = checkout("");
        clear(&mut settings);
        let told = refusal(&settings, &keys);
        assert_eq!(told, format!("programs.my-shop.{name} is empty"));
    }
}

#[test]
fn a_signing_key_that_is_not_there_is_told_with_its_file() {
    let keys = key_folder();
    let mut settings = checkout("");
    settings.signing_key = "signing/no.p12".to_owned();
    let told = refusal(&settings, &keys);
    assert!(told.contains("signing/no.p12: entity not found"), "{told}");
    settings.signing_key = "/etc/hostname".to_owned();
    let told = refusal(&settings, &keys);
    assert!(told.contains("out of the key folder"), "{told}");
}

#[test]
fn the_password_is_read_from_its_file_wherever_that_is() {
    let keys = key_folder();
    let other = openssl::pkcs12::Pkcs12::builder()
        .pkey(&demonstration_key())
        .build2(PASSWORD)
        .unwrap();
    fs::write(
        keys.path().join("signing/shop.p12"),
        other.to_der().unwrap(),
    )
    .unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let full = elsewhere.path().join("password");
    let full = full.to_str().unwrap();
    let relative = "signing/shop.password";
    for end in ["", "\n", "\r\n"] {
        let text = format!("{PASSWORD}{end}");
        fs::write(keys.path().join(relative), &text).unwrap();
        fs::write(full, &text).unwrap();
        for file in [relative, full] {
            let mut settings = checkout("");
            settings.signing_key = "signing/shop.p12".to_owned();
            settings.signing_key_password_file = file.to_owned();
            assert!(made(&settings, &keys).is_ok(), "{file}");
        }
    }
    let mut settings = checkout("");
    settings.signing_key = "signing/shop.p12".to_owned();
    let without = refusal(&settings, &keys);
    assert!(
        without.contains("does not open with the password"),
        "{without}"
    );
    settings.signing_key_password_file = "signing/no".to_owned();
    let missing = refusal(&settings, &keys);
    assert!(
        missing.contains("signing/no: entity not found"),
        "{missing}"
    );
    fs::write(keys.path().join(relative), [0xff]).unwrap();
    settings.signing_key_password_file = relative.to_owned();
    let told = refusal(&settings, &keys);
    assert!(told.contains("shop.password: is not UTF-8"), "{told}");
}

fn demonstration_key() -> openssl::pkey::PKey<openssl::pkey::Private> {
    let pem = include_bytes!("../../../keys/signing/demo-signing.pem");
    openssl::pkey::PKey::private_key_from_pem(pem).unwrap()
}

#[test]
fn the_variable_of_a_password_is_named_after_the_program() {
    let named = crate::mastercard::credential::password_variable;
    assert_eq!(named("shop"), "TOKENKEEP_SIGNING_PASSWORD_SHOP");
    assert_eq!(named("my-shop.2"), "TOKENKEEP_SIGNING_PASSWORD_MY_SHOP_2");
}

#[test]
fn a_key_set_that_cannot_be_used_is_told_with_its_file() {
    let keys = key_folder();
    let settings = checkout("");
    let more = keys.path().join("verification/more.json");
    fs::write(&more, "{}").unwrap();
    let told = refusal(&settings, &keys);
    assert!(
        told.contains("verification/more.json: the key set has no list"),
        "{told}"
    );
    let foreign = openssl::rsa::Rsa::generate(2048).unwrap();
    let foreign = openssl::pkey::PKey::from_rsa(foreign).unwrap();
    fs::write(&more, jwks_of(&foreign, KID)).unwrap();
    let told = refusal(&settings, &keys);
    assert!(
        told.contains("set.json: two key sets name different keys"),
        "{told}"
    );
}

#[test]
fn an_operator_is_told_what_makes_answers_unbelievable_or_too_believable() {
    let keys = key_folder();
    let remarks = |more: &str| made(&checkout(more), &keys).unwrap().remarks().to_vec();
    assert!(remarks("").is_empty());
    let accepting = remarks("accept_unverified_checkout = true");
    assert_eq!(accepting.len(), 1);
    assert!(accepting[0].contains("programs.my-shop.accept_unverified_checkout is on"));
    fs::remove_file(keys.path().join("verification/set.json")).unwrap();
    let keyless = remarks("");
    assert_eq!(keyless.len(), 1);
    assert!(keyless[0].contains("programs.my-shop: no Checkout answer can be verified"));
    assert!(remarks("verification_url = \"https://example.com/keys\"").is_empty());
}

#[test]
fn a_demonstration_key_is_known_whether_it_signs_or_verifies() {
    let keys = key_folder();
    let settings = checkout("");
    assert!(made(&settings, &keys).unwrap().holds_demonstration_key());
    let own = openssl::rsa::Rsa::generate(2048).unwrap();
    let own = own.private_key_to_pem().unwrap();
    fs::write(keys.path().join("signing/shop.pem"), own).unwrap();
    assert!(!made(&settings, &keys).unwrap().holds_demonstration_key());
    let sandbox = repository("keys/verification/sandbox.json");
    fs::copy(sandbox, keys.path().join("verification/sandbox.json")).unwrap();
    assert!(made(&settings, &keys).unwrap().holds_demonstration_key());
}

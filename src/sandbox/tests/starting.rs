//! What a sandbox needs to start.

use super::*;

fn refused(settings: SandboxSettings) -> String {
    let started = Sandbox::start(settings);
    started.err().map(|error| error.to_string()).unwrap()
}

#[test]
fn without_a_signing_key_or_a_payload_key_it_does_not_start() {
    let missing = SandboxSettings {
        signing_key: "signing/nobody.pem".into(),
        ..SandboxSettings::new(keys())
    };
    let message = refused(missing);
    assert!(message.contains("signing/nobody.pem"), "{message}");

    let folder = tempfile::tempdir().unwrap();
    let message = refused(SandboxSettings::new(folder.path()));
    assert!(message.contains("holds no payload key"), "{message}");

    let not_a_key = SandboxSettings {
        signing_key: "README.md".into(),
        ..SandboxSettings::new(keys())
    };
    let message = refused(not_a_key);
    assert!(
        message.contains("README.md: is not an unlocked RSA private key"),
        "{message}"
    );
}

#[test]
fn the_public_half_of_the_signing_key_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let from = keys().join("payload/demo-payload-2026.pem");
    std::fs::create_dir(folder.path().join("payload")).unwrap();
    std::fs::copy(from, folder.path().join("payload/one.pem")).unwrap();
    let private = std::fs::read(keys().join("signing/demo-signing.pem")).unwrap();
    let private = openssl::pkey::PKey::private_key_from_pem(&private).unwrap();
    let public = private.public_key_to_pem().unwrap();
    std::fs::write(folder.path().join("public.pem"), public).unwrap();
    let merchant = Merchant::with(|settings| {
        settings.keys = folder.path().to_owned();
        settings.signing_key = "public.pem".into();
    });
    assert_eq!(merchant.get_card("").status, 200);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let merchant = Merchant::new();
    let address = merchant.sandbox.address().to_string();
    let taken = SandboxSettings {
        listen: address.clone(),
        ..SandboxSettings::new(keys())
    };
    assert_eq!(
        refused(taken),
        format!("cannot listen on {address}: address in use")
    );
}

#[test]
fn cards_that_are_there_from_the_start_have_numbers_of_their_own_that_pass_the_check() {
    let merchant = Merchant::with(|settings| settings.cards = 50);
    let cards = merchant.sandbox.cards();
    assert_eq!(cards.len(), 51);
    let mut numbers: Vec<&str> = cards.iter().map(|card| card.number.expose()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 51);
    for number in numbers {
        let digits = number.chars().rev().map(|c| c.to_digit(10).unwrap());
        let doubled = digits.enumerate().map(|(place, digit)| match place % 2 {
            1 => digit * 2 / 10 + digit * 2 % 10,
            _ => digit,
        });
        assert_eq!((number.len(), doubled.sum::<u32>() % 10), (16, 0));
    }
    assert!(
        cards
            .iter()
            .all(|card| card.id.len() == 36 && !card.expiry.is_past(NOW))
    );
}

//! Where the keys that verify answers come from, and when they are looked for again.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::support::*;
use crate::mastercard::Client;

/// Answers Checkout with right answers, and `/keys` with a set.
struct Mastercard {
    other: Recorder,
}

impl Mastercard {
    fn start(set: Vec<u8>) -> Self {
        let other = Recorder::start(move |request| match request.target.as_str() {
            "/keys" => set.clone(),
            _ => ok(&checkout_answer(request, |_| ())),
        });
        Self { other }
    }

    fn settings(&self) -> String {
        format!("verification_url = \"{}/keys\"", self.other.address())
    }

    fn fetches(&self) -> usize {
        let heard = self.other.heard();
        heard
            .iter()
            .filter(|request| request.target == "/keys")
            .count()
    }
}

fn refusal(client: &Client) -> Option<String> {
    let answer = client.checkout(&checkout_request(), keyring());
    answer.err().map(|failure| failure.reason)
}

fn without_files() -> tempfile::TempDir {
    let keys = key_folder();
    fs::remove_dir_all(keys.path().join("verification")).unwrap();
    keys
}

#[test]
fn keys_in_the_folder_need_no_fetching() {
    let mastercard = Mastercard::start(ok(&jwks(KID)));
    let shop = shop(&mastercard.other.address(), &mastercard.settings());
    assert_eq!(refusal(&shop.client), None);
    assert_eq!(mastercard.fetches(), 0);
}

#[test]
fn an_unknown_kid_is_looked_for_at_the_address_and_kept() {
    let mastercard = Mastercard::start(ok(&jwks(KID)));
    let keys = without_files();
    let client = client(&mastercard.other.address(), &mastercard.settings(), &keys);
    for _ in 0..3 {
        assert_eq!(refusal(&client), None);
    }
    assert_eq!(mastercard.fetches(), 1);
    let fetch = mastercard.other.heard();
    let fetch = fetch
        .iter()
        .find(|request| request.target == "/keys")
        .unwrap();
    assert_eq!(fetch.header("authorization"), None);
}

#[test]
fn an_unknown_kid_makes_one_look_a_minute_at_most() {
    let mastercard = Mastercard::start(ok(&jwks("another")));
    let keys = without_files();
    let client = client(&mastercard.other.address(), &mastercard.settings(), &keys);
    for _ in 0..5 {
        assert_eq!(refusal(&client).as_deref(), Some("jws-unknown-kid"));
    }
    assert_eq!(mastercard.fetches(), 1);
}

#[test]
fn calls_at_once_wait_for_the_one_that_looks() {
    let mastercard = Mastercard::start(ok(&jwks(KID)));
    let keys = without_files();
    let client = client(&mastercard.other.address(), &mastercard.settings(), &keys);
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(|| refusal(&client))).collect();
        for call in calls {
            assert_eq!(call.join().unwrap(), None);
        }
    });
    assert_eq!(mastercard.fetches(), 1);
}

#[test]
fn a_file_that_comes_later_is_used_without_a_restart() {
    let mastercard = Mastercard::start(ok("{}"));
    let keys = without_files();
    let client = client(&mastercard.other.address(), "", &keys);
    fs::create_dir(keys.path().join("verification")).unwrap();
    fs::write(keys.path().join("verification/new.json"), jwks(KID)).unwrap();
    assert_eq!(refusal(&client), None);
}

/// What the address gives in place of a usable set.
fn assert_old_keys_stay(set: Vec<u8>) {
    let mastercard = Mastercard::start(set);
    let unknown = Arc::new(AtomicBool::new(false));
    let keys = key_folder();
    let is_unknown = Arc::clone(&unknown);
    let other = Recorder::start(move |request| {
        ok(&checkout_answer(request, |parts| {
            if is_unknown.load(Ordering::SeqCst) {
                parts.header["kid"] = "unknown".into();
            }
        }))
    });
    let client = client(&other.address(), &mastercard.settings(), &keys);
    unknown.store(true, Ordering::SeqCst);
    assert_eq!(refusal(&client).as_deref(), Some("jws-unknown-kid"));
    assert_eq!(mastercard.fetches(), 1);
    unknown.store(false, Ordering::SeqCst);
    assert_eq!(refusal(&client), None);
}

#[test]
fn a_set_that_cannot_be_fetched_or_used_leaves_the_old_keys_in_place() {
    let foreign = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    for set in [
        answer("503", ""),
        answer("301\nlocation: /elsewhere", ""),
        ok("<html>"),
        ok("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"x\"}]}"),
        // Another key under the kid of a file.
        ok(&jwks_of(&foreign, KID)),
        Vec::new(),
    ] {
        assert_old_keys_stay(set);
    }
}

#[test]
fn a_kid_that_names_another_key_at_the_next_fetch_is_not_believed() {
    use crate::jose::VerifyFault::{UnknownKid, WrongSignature};
    use crate::upstream::{KeySetFiles, Verification};
    let keys = without_files();
    let verification = Verification::load(
        keys.path(),
        KeySetFiles::Folder("verification"),
        "shop",
        true,
    )
    .unwrap();
    let foreign = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let signed = |kid: &str| {
        let header = serde_json::json!({ "alg": "RS256", "kid": kid });
        signed_with(&foreign, &header, "{}")
    };
    let first = || Some(jwks("first").into_bytes());
    let fault = verification.verify(&signed("second"), NOW, first).err();
    assert_eq!(fault, Some(UnknownKid));
    let swapped = || Some(jwks_of(&foreign, "first").into_bytes());
    let fault = verification
        .verify(&signed("second"), NOW + 60_000, swapped)
        .err();
    assert_eq!(fault, Some(UnknownKid));
    let forged = verification.verify(&signed("first"), NOW + 60_000, || None);
    assert_eq!(forged.err(), Some(WrongSignature));
    let rotated = || Some(jwks_of(&foreign, "second").into_bytes());
    assert!(
        verification
            .verify(&signed("second"), NOW + 120_000, rotated)
            .is_ok()
    );
    // The first key is gone from the set, and with it from ours.
    assert_eq!(verification.keys().kids().collect::<Vec<_>>(), ["second"]);
}

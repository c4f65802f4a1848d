//! Which key a token is opened with, and that every failure looks alike.

use super::*;
use crate::jose::{encrypt, json};

pub fn vector(name: &str) -> String {
    let file = repository("tests/data/jose/tokens")
        .join(name)
        .with_extension("jwe");
    fs::read_to_string(file).unwrap().trim_end().to_owned()
}

pub fn number_in(plaintext: &[u8]) -> String {
    json::parse(plaintext).unwrap()["paymentToken"]["paymentToken"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn tokens_of_mastercards_own_library_open() {
    let keyring = demonstration_keys();
    for name in ["mastercard-a256gcm-iv16", "mastercard-a256gcm-iv16-retired"] {
        let plaintext = keyring.open(&vector(name), None).unwrap();
        assert_eq!(number_in(&plaintext), "5480983162311596", "{name}");
    }
    assert_eq!(keyring.private_operations(), 2);
}

#[test]
fn tokens_made_by_hand_open_by_kid_alias_key_id_and_fingerprint() {
    let keyring = demonstration_keys();
    for name in [
        "a128gcm-iv12-kid",
        "a128gcm-iv12-alias",
        "a192gcm-iv12-hex",
        "a256gcm-iv12-key-id",
        "a256gcm-iv12-fingerprint",
        "a128gcm-iv12-no-kid",
    ] {
        let plaintext = keyring.open(&vector(name), None).unwrap();
        assert_eq!(number_in(&plaintext), "5480983162311596", "{name}");
    }
    assert_eq!(keyring.private_operations(), 6);
}

#[test]
fn a_token_without_kid_for_a_retired_key_opens_after_the_default_was_tried() {
    let keyring = demonstration_keys();
    assert!(
        keyring
            .open(&vector("a128gcm-iv12-no-kid-retired"), None)
            .is_ok()
    );
    assert_eq!(keyring.private_operations(), 2);
}

#[test]
fn a_fingerprint_beside_the_token_finds_the_key_in_each_of_its_forms() {
    let token = vector("a128gcm-iv12-no-kid");
    for hint in [
        "c249254b21f79c1b1ff222127eb978db2ef17f1b05dd518ec62580ccec889c2c",
        "C249254B21F79C1B1FF222127EB978DB2EF17F1B05DD518EC62580CCEC889C2C",
        "wkklSyH3nBsf8iISfrl42y7xfxsF3VGOxiWAzOyInCw",
        "wkklSyH3nBsf8iISfrl42y7xfxsF3VGOxiWAzOyInCw=",
        "demo-payload-2026",
    ] {
        assert!(
            demonstration_keys().open(&token, Some(hint)).is_ok(),
            "{hint}"
        );
    }
    let retired = "a892b2ea89bfa18cf5f2d4ef9bb0ddc93031d111918be1cc372b3bafc0a27117";
    assert_eq!(
        demonstration_keys().open(&token, Some(retired)).err(),
        Some(OpenError::Refused)
    );
    assert_eq!(
        demonstration_keys().open(&token, Some("other")).err(),
        Some(OpenError::UnknownKey)
    );
}

#[test]
fn a_kid_that_is_known_wins_over_the_fingerprint_and_an_unknown_one_yields_to_it() {
    let keyring = demonstration_keys();
    let known = vector("a128gcm-iv12-kid");
    assert!(keyring.open(&known, Some("demo-payload-2025")).is_ok());
    let pem = public_pem(&keyring, "demo-payload-2026");
    let unknown = encrypt(PLAINTEXT, &pem, Some("unknown"), "A256GCM", 16).unwrap();
    assert!(keyring.open(&unknown, Some("demo-payload-2026")).is_ok());
    assert_eq!(
        keyring.open(&unknown, None).err(),
        Some(OpenError::UnknownKey)
    );
}

#[test]
fn j15_a_token_for_a_key_not_loaded_opens_once_the_key_is_there() {
    let sender = folder_of_new_keys(&["new"]);
    let token = encrypt(
        PLAINTEXT,
        &public_pem(&load(&sender), "new"),
        Some("new"),
        "A128GCM",
        12,
    )
    .unwrap();
    let receiver = folder_of_new_keys(&["old"]);
    assert_eq!(
        load(&receiver).open(&token, None).err(),
        Some(OpenError::UnknownKey)
    );
    fs::copy(
        sender.path().join("payload/new.pem"),
        receiver.path().join("payload/new.pem"),
    )
    .unwrap();
    let keyring = load(&receiver);
    assert_eq!(*keyring.open(&token, None).unwrap(), PLAINTEXT);
    let operations = keyring.private_operations();
    println!("J-15 held, then opened by the new key alone: {operations} private operation");
    assert_eq!(operations, 1);
}

#[test]
fn j16_a_token_without_kid_costs_at_most_four_private_operations() {
    const TOKENS: usize = 1000;
    let folder = folder_of_new_keys(&["a", "b", "c", "d", "e", "f"]);
    let foreign = Token::with_header(r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#);
    // From six keys down to one: as many tokens with four or more to try as with fewer.
    let mut keyrings = Vec::new();
    for kid in ["f", "e", "d", "c", "b", "a"] {
        keyrings.push(load(&folder));
        fs::remove_file(folder.path().join(format!("payload/{kid}.pem"))).unwrap();
    }
    let mut most = 0;
    for number in 0..TOKENS {
        let keyring = &keyrings[number % keyrings.len()];
        let mut token = foreign.clone();
        token.0[4][..8].copy_from_slice(&number.to_be_bytes());
        let before = keyring.private_operations();
        assert_eq!(
            keyring.open(&token.text(), None).err(),
            Some(OpenError::Refused)
        );
        let operations = keyring.private_operations() - before;
        assert_eq!(operations, keyring.keys().count().min(4) as u64);
        most = most.max(operations);
    }
    let all: u64 = keyrings.iter().map(Keyring::private_operations).sum();
    println!(
        "J-16 {TOKENS} tokens without kid: at most {most} private operations each, {all} in all"
    );
    assert_eq!(most, 4);
}

#[test]
fn a_key_of_another_size_is_not_tried() {
    let folder = folder_of_new_keys(&["small"]);
    make_missing(folder.path(), Some("large"), 3072).unwrap();
    write_settings(&folder, "default = \"large\"\n");
    let keyring = load(&folder);
    let token = encrypt(
        PLAINTEXT,
        &public_pem(&keyring, "small"),
        None,
        "A128GCM",
        12,
    )
    .unwrap();
    assert_eq!(*keyring.open(&token, None).unwrap(), PLAINTEXT);
    assert_eq!(keyring.private_operations(), 1);
    let named = encrypt(
        PLAINTEXT,
        &public_pem(&keyring, "small"),
        Some("large"),
        "A128GCM",
        12,
    )
    .unwrap();
    assert_guarded(&keyring, &named);
}

#[test]
fn an_empty_keyring_refuses_without_an_operation() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = load(&folder);
    assert!(keyring.is_empty());
    assert_guarded(&keyring, &vector("a128gcm-iv12-no-kid"));
}

#[test]
fn j17_every_failure_behind_the_guard_looks_the_same() {
    let keyring = demonstration_keys();
    let good = Token::with_header(HEADER);
    let spoilt = |place: usize| {
        let mut token = good.clone();
        token.0[place][0] ^= 1;
        token.text()
    };
    let bad_oaep = spoilt(1);
    let bad_tag = spoilt(4);
    let wrong_cek = Token::new(HEADER, &[7; 16], &[1; 12]).text();
    let malformed = "a.b.c".to_owned();
    let tokens = [
        bad_oaep,
        bad_tag,
        wrong_cek,
        malformed,
        spoilt(2),
        spoilt(3),
    ];
    for token in &tokens {
        let error = keyring.open(token, None).unwrap_err();
        assert_eq!(error, OpenError::Refused);
        assert_eq!(error.to_string(), "the token cannot be opened");
    }
    println!("J-17 {} kinds of failure, one error", tokens.len());
}

#[test]
fn j20_a_cek_of_the_wrong_length_is_refused_and_an_all_zero_one_is_not_special() {
    let keyring = demonstration_keys();
    let (mut opened, mut refused) = (0, 0);
    for (enc, right) in [("A128GCM", 16), ("A192GCM", 24), ("A256GCM", 32)] {
        let header = HEADER.replace("A256GCM", enc);
        for length in [0, 15, 16, 24, 31, 32, 33, 190] {
            let token = Token::new(&header, &vec![0; length], &[1; 12]).text();
            let is_open = keyring.open(&token, None).is_ok();
            assert_eq!(is_open, length == right, "{enc} {length}");
            match is_open {
                true => opened += 1,
                false => refused += 1,
            }
        }
    }
    println!("J-20 {refused} wrong CEK lengths refused, {opened} right ones opened, 0 panics");
    assert_eq!((opened, refused), (3, 21));
}

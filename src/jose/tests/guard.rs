//! Sizes, parts, alphabet, IV and tag: refused before any private-key operation.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn j04_a_tag_of_any_length_but_sixteen_is_refused_before_any_private_operation() {
    let keyring = demonstration_keys();
    for (enc, cek_length) in [("A128GCM", 16), ("A192GCM", 24), ("A256GCM", 32)] {
        let header = HEADER.replace("A256GCM", enc);
        let good = Token::new(&header, &vec![7; cek_length], &[1; 12]);
        for length in 0..=32 {
            let repeated: Vec<u8> = good.0[4].iter().copied().cycle().take(length).collect();
            let mut filled = good.0[4].clone();
            filled.resize(length, 0);
            for tag in [repeated, filled] {
                let mut token = good.clone();
                token.0[4] = tag;
                if length == 16 {
                    assert_eq!(*keyring.open(&token.text(), None).unwrap(), PLAINTEXT);
                } else {
                    assert_guarded(&keyring, &token.text());
                }
            }
        }
    }
}

#[test]
fn j04_no_one_or_two_byte_tag_forges_a_changed_ciphertext() {
    let keyring = demonstration_keys();
    let mut token = Token::with_header(HEADER);
    token.0[3][0] ^= 1;
    let start = token.text();
    let start = &start[..=start.rfind('.').unwrap()];
    for tag in 0..=u16::MAX {
        let [high, low] = tag.to_be_bytes();
        let forged = format!("{start}{}", URL_SAFE_NO_PAD.encode([high, low]));
        assert!(keyring.open(&forged, None).is_err());
        if high == 0 {
            let forged = format!("{start}{}", URL_SAFE_NO_PAD.encode([low]));
            assert!(keyring.open(&forged, None).is_err());
        }
    }
    assert_eq!(keyring.private_operations(), 0);
}

#[test]
fn j05_only_ivs_of_12_and_16_bytes_open() {
    let keyring = demonstration_keys();
    for length in [0, 1, 7, 8, 11, 12, 13, 15, 16, 17, 32, 64, 128, 2000] {
        let token = Token::new(HEADER, &[7; 32], &vec![1; length]).text();
        if [12, 16].contains(&length) {
            assert_eq!(*keyring.open(&token, None).unwrap(), PLAINTEXT);
        } else {
            assert_guarded(&keyring, &token);
        }
    }
}

#[test]
fn j05_cbc_takes_an_iv_of_16_bytes_only() {
    let policy = with_cbc();
    let keyring = Keyring::load(&repository("keys"), policy).unwrap();
    let header = HEADER.replace("A256GCM", "A128CBC-HS256");
    for length in [0, 1, 12, 15, 17] {
        assert_guarded(
            &keyring,
            &Token::new(&header, &[7; 32], &vec![1; length]).text(),
        );
    }
}

#[test]
fn j13_oversized_and_misshapen_tokens_are_refused_within_5_ms_each() {
    let keyring = demonstration_keys();
    let good = Token::with_header(HEADER).text();
    let parts: Vec<&str> = good.split('.').collect();
    let with = |place: usize, part: &str| {
        let mut parts = parts.clone();
        parts[place] = part;
        parts.join(".")
    };
    let long_header = format!(
        r#"{{"alg":"RSA-OAEP-256","enc":"A256GCM","x":"{}"}}"#,
        "x".repeat(4097)
    );
    let part = "A".repeat(10 * 1024 * 1024);
    let tokens = [
        String::new(),
        ".".repeat(4),
        ".".repeat(1024 * 1024),
        parts[..4].join("."),
        format!("{good}.AAAA"),
        format!("{good}."),
        with(0, &URL_SAFE_NO_PAD.encode(long_header)),
        with(1, &part),
        with(3, &part),
        with(3, &"A".repeat(64 * 1024)),
        with(1, ""),
        with(1, &parts[1][..parts[1].len() - 4]),
        with(1, &format!("{}AAAA", parts[1])),
        with(3, ""),
    ];
    for token in tokens {
        let start = Instant::now();
        assert_guarded(&keyring, &token);
        assert!(
            start.elapsed() < Duration::from_millis(5),
            "{:?}",
            start.elapsed()
        );
    }
}

#[test]
fn j13_a_token_of_64_kib_is_read_and_one_of_a_character_more_is_not() {
    let policy = OpenPolicy::default();
    let start = Token::with_header(HEADER).text();
    let parts: Vec<&str> = start.split('.').collect();
    let rest = start.len() - parts[3].len();
    let at_most = [
        parts[0],
        parts[1],
        parts[2],
        &"A".repeat(65536 - rest),
        parts[4],
    ]
    .join(".");
    assert_eq!(at_most.len(), 65536);
    assert!(super::super::guard::check(&at_most, &policy).is_ok());
    let longer = [
        parts[0],
        parts[1],
        parts[2],
        &"A".repeat(65537 - rest),
        parts[4],
    ]
    .join(".");
    assert!(super::super::guard::check(&longer, &policy).is_err());
}

#[test]
fn j23_the_json_serialisations_are_refused() {
    let keyring = demonstration_keys();
    let good = Token::with_header(HEADER).text();
    let [protected, key, iv, sealed, tag] =
        <[&str; 5]>::try_from(good.split('.').collect::<Vec<_>>()).unwrap();
    let rest =
        format!(r#""protected":"{protected}","iv":"{iv}","ciphertext":"{sealed}","tag":"{tag}""#);
    for token in [
        format!(r#"{{{rest},"encrypted_key":"{key}"}}"#),
        format!(r#"{{{rest},"recipients":[{{"encrypted_key":"{key}"}}]}}"#),
        format!(r#""{good}""#),
    ] {
        assert_guarded(&keyring, &token);
    }
}

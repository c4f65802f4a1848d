//! Sizes, parts, alphabet, IV and tag: refused before any private-key operation.

use std::collections::BTreeSet;

use super::*;

#[test]
fn j04_a_tag_of_any_length_but_sixteen_is_refused_before_any_private_operation() {
    let keyring = demonstration_keys();
    let (mut lengths, mut refused) = (BTreeSet::new(), 0);
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
                    lengths.insert(length);
                    refused += 1;
                }
            }
        }
    }
    println!(
        "J-04 {} of 32 lengths refused before any private operation ({refused} tokens)",
        lengths.len()
    );
    assert_eq!(lengths.len(), 32);
}

#[test]
fn j04_no_one_or_two_byte_tag_forges_a_changed_ciphertext() {
    let keyring = demonstration_keys();
    let mut token = Token::with_header(HEADER);
    token.0[3][0] ^= 1;
    let start = token.text();
    let start = &start[..=start.rfind('.').unwrap()];
    let (mut tried, mut accepted) = (0, 0);
    let mut forge = |tag: &[u8]| {
        let forged = format!("{start}{}", URL_SAFE_NO_PAD.encode(tag));
        tried += 1;
        accepted += u32::from(keyring.open(&forged, None).is_ok());
    };
    for tag in 0..=u16::MAX {
        let [high, low] = tag.to_be_bytes();
        forge(&[high, low]);
        if high == 0 {
            forge(&[low]);
        }
    }
    let operations = keyring.private_operations();
    println!("J-04 {accepted} of {tried} forgeries accepted, {operations} private operations");
    assert_eq!((tried, accepted, operations), (65_792, 0, 0));
}

#[test]
fn j05_only_ivs_of_12_and_16_bytes_open() {
    let keyring = demonstration_keys();
    let (mut opened, mut refused) = (Vec::new(), 0);
    for length in [0, 1, 7, 8, 11, 12, 13, 15, 16, 17, 32, 64, 128, 2000] {
        let token = Token::new(HEADER, &[7; 32], &vec![1; length]).text();
        if [12, 16].contains(&length) {
            assert_eq!(*keyring.open(&token, None).unwrap(), PLAINTEXT);
            opened.push(length);
        } else {
            assert_guarded(&keyring, &token);
            refused += 1;
        }
    }
    println!("J-05 GCM: IVs of {opened:?} bytes opened, {refused} other lengths refused, 0 panics");
    assert_eq!((opened, refused), (vec![12, 16], 12));
}

#[test]
fn j05_cbc_takes_an_iv_of_16_bytes_only() {
    let policy = with_cbc();
    let keyring = Keyring::load(&repository("keys"), policy).unwrap();
    let header = HEADER.replace("A256GCM", "A128CBC-HS256");
    let lengths = [0, 1, 12, 15, 17];
    let tokens = lengths.map(|length| Token::new(&header, &[7; 32], &vec![1; length]).text());
    for token in &tokens {
        assert_guarded(&keyring, token);
    }
    println!(
        "J-05 CBC: {} lengths but 16 refused, 0 panics",
        tokens.len()
    );
}

/// Too long or in too many or too few parts; each must be refused before it is decoded.
pub fn misshapen() -> [String; 14] {
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
    [
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
    ]
}

#[test]
fn j13_oversized_and_misshapen_tokens_are_refused_within_5_ms_each() {
    let keyring = demonstration_keys();
    let tokens = misshapen();
    let times = tokens
        .each_ref()
        .map(|token| quickest(|| assert_guarded(&keyring, token)));
    let slowest = times.into_iter().max().unwrap();
    println!(
        "J-13 {} tokens refused, each within {slowest:?}",
        tokens.len()
    );
    assert!(slowest < Duration::from_millis(5), "{slowest:?}");
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
    println!(
        "J-13 {} characters read, {} refused",
        at_most.len(),
        longer.len()
    );
}

#[test]
fn j23_the_json_serialisations_are_refused() {
    let keyring = demonstration_keys();
    let good = Token::with_header(HEADER).text();
    let [protected, key, iv, sealed, tag] =
        <[&str; 5]>::try_from(good.split('.').collect::<Vec<_>>()).unwrap();
    let rest =
        format!(r#""protected":"{protected}","iv":"{iv}","ciphertext":"{sealed}","tag":"{tag}""#);
    let flattened = format!(r#"{{{rest},"encrypted_key":"{key}"}}"#);
    let general = format!(r#"{{{rest},"recipients":[{{"encrypted_key":"{key}"}}]}}"#);
    // As they are, and as the texts of JSON strings.
    let quoted = [&flattened, &general, &good].map(|text| serde_json::to_string(text).unwrap());
    let tokens = [vec![flattened.clone(), general.clone()], quoted.to_vec()].concat();
    for token in &tokens {
        assert_guarded(&keyring, token);
    }
    println!(
        "J-23 {} JSON forms refused before any private operation",
        tokens.len()
    );
}

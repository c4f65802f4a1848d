//! The parts of a token belong together, and its header is bound to the letter.

use super::*;

const BARE: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#;

/// In order for the guard, refused by the decryption.
#[track_caller]
fn assert_bound(keyring: &Keyring, token: &Token) {
    let before = keyring.private_operations();
    let refused = keyring.open(&token.text(), None).err();
    assert_eq!(refused, Some(OpenError::Refused), "{}", token.text());
    assert_eq!(keyring.private_operations(), before + 1);
}

fn assert_header_bound(keyring: &Keyring, good: &Token, headers: &[&str]) {
    for header in headers {
        let mut token = good.clone();
        token.0[0] = header.as_bytes().to_vec();
        assert_bound(keyring, &token);
    }
}

#[test]
fn j26_a_header_that_means_the_same_but_reads_otherwise_is_refused() {
    let keyring = demonstration_keys();
    let headers = [
        r#"{"alg":"RSA-OAEP-256","kid":"demo-payload-2026","enc":"A256GCM"}"#,
        r#"{"enc":"A256GCM","alg":"RSA-OAEP-256","kid":"demo-payload-2026"}"#,
        r#"{"enc":"A256GCM","kid":"demo-payload-2026","alg":"RSA-OAEP-256"}"#,
        r#"{"kid":"demo-payload-2026","alg":"RSA-OAEP-256","enc":"A256GCM"}"#,
        r#"{"kid":"demo-payload-2026","enc":"A256GCM","alg":"RSA-OAEP-256"}"#,
        r#"{"alg": "RSA-OAEP-256","enc":"A256GCM","kid":"demo-payload-2026"}"#,
        r#" {"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"demo-payload-2026"}"#,
        "{\"alg\":\"RSA-OAEP-256\",\"enc\":\"A256GCM\",\"kid\":\"demo-payload-2026\"}\n",
        r#"{"\u0061lg":"RSA-OAEP-256","enc":"A256GCM","kid":"demo-payload-2026"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256\u0047CM","kid":"demo-payload-2026"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"demo-payload\u002d2026"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"demo-payload-2026","typ":"JOSE"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"demo-payload-2026","cty":""}"#,
    ];
    assert_header_bound(&keyring, &Token::with_header(HEADER), &headers);
    println!("J-26 {} headers of equal meaning refused", headers.len());
}

#[test]
fn j26_a_kid_that_is_added_removed_or_written_otherwise_is_refused() {
    let keyring = demonstration_keys();
    let named = Token::with_header(HEADER);
    let other_names = [
        BARE,
        // Its alias, its fingerprint, and the other names for a name: the same key each time.
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"20260101000000-demo-payload-encryption"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"c249254b21f79c1b1ff222127eb978db2ef17f1b05dd518ec62580ccec889c2c"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","keyId":"demo-payload-2026"}"#,
        r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"demo-payload-2026","keyId":"x"}"#,
    ];
    let keyring_of_one = {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("payload")).unwrap();
        let pem = repository("keys/payload/demo-payload-2026.pem");
        fs::copy(pem, folder.path().join("payload/demo-payload-2026.pem")).unwrap();
        load(&folder)
    };
    // Without a kid all keys are tried: with one key the count is the same as for the others.
    assert_header_bound(&keyring_of_one, &named, &other_names[..1]);
    assert_header_bound(&keyring, &named, &other_names[1..]);
    let bare = Token::with_header(BARE);
    assert_eq!(*keyring_of_one.open(&bare.text(), None).unwrap(), PLAINTEXT);
    assert_header_bound(&keyring_of_one, &bare, &[HEADER]);
    println!("J-26 {} other kids refused", other_names.len() + 1);
}

#[test]
fn j26_parts_of_two_authentic_tokens_of_one_key_never_make_a_third() {
    let keyring = demonstration_keys();
    let one = Token::with_header(HEADER);
    let header = HEADER.replace('}', r#","cty":"application/json"}"#);
    let other = Token::new(&header, &[8; 32], &[2; 12]);
    for whole in [&one, &other] {
        assert_eq!(*keyring.open(&whole.text(), None).unwrap(), PLAINTEXT);
    }
    let mut mixtures = 0;
    for mix in 1..31_u8 {
        let mut token = one.clone();
        for place in (0..5).filter(|place| mix & 1 << place != 0) {
            token.0[place] = other.0[place].clone();
        }
        assert_bound(&keyring, &token);
        mixtures += 1;
    }
    println!("J-26 {mixtures} mixtures refused");
    assert_eq!(mixtures, 30);
}

//! One spelling for each part: what a lenient reader would read as the same token is refused.

use super::*;

/// Its text has a character left over, and `?` and `>` make `_` and `-`.
const WITH_BOTH: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","xy":">>>???>>>???"}"#;
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The parts of an authentic token, each with both characters in which the two alphabets differ and with bits
/// left over in its last one.
fn parts() -> [String; 5] {
    let is_fit = |part: &String| part.contains('-') && part.contains('_') && part.len() % 4 > 1;
    let spelled = |token: &Token| token.0.each_ref().map(|part| URL_SAFE_NO_PAD.encode(part));
    let wrapped = || Token::new(WITH_BOTH, &[7; 32], &[0xfb; 16]);
    let mut wrapped = std::iter::repeat_with(wrapped);
    let token = wrapped.find(|token| is_fit(&spelled(token)[1])).unwrap();
    let sealed = |number: u32| {
        let mut token = token.clone();
        token.0[2] = [
            &[0xfb, 0xff, 0xfe].repeat(4),
            number.to_be_bytes().as_slice(),
        ]
        .concat();
        let aad = URL_SAFE_NO_PAD.encode(WITH_BOTH);
        let (cipher, mut tag) = (Cipher::aes_256_gcm(), [0; 16]);
        let iv = Some(token.0[2].as_slice());
        let sealed = encrypt_aead(cipher, &[7; 32], iv, aad.as_bytes(), PLAINTEXT, &mut tag);
        token.0[3] = sealed.unwrap();
        token.0[4] = tag.to_vec();
        spelled(&token)
    };
    let mut all = (0..).map(sealed);
    all.find(|parts| parts.iter().all(is_fit)).unwrap()
}

/// Every other way to write the same bytes that some reader takes.
fn spoilt(part: &str) -> [String; 7] {
    let (front, back) = part.split_at(part.len() / 2);
    let (rest, last) = part.split_at(part.len() - 1);
    let place = ALPHABET.iter().position(|c| *c == last.as_bytes()[0]);
    let trailing = char::from(ALPHABET[place.unwrap() + 1]);
    [
        format!("{part}{}", "=".repeat(4 - part.len() % 4)),
        part.replacen('-', "+", 1),
        part.replacen('_', "/", 1),
        format!("{front} {back}"),
        format!("{part}\n"),
        format!("{rest}{trailing}"),
        format!("{front}é{back}"),
    ]
}

#[test]
fn j24_every_part_is_strict_base64url_without_padding() {
    let keyring = demonstration_keys();
    let parts = parts();
    assert_eq!(*keyring.open(&parts.join("."), None).unwrap(), PLAINTEXT);
    let mut refused = 0;
    for place in 0..5 {
        for spoilt in spoilt(&parts[place]) {
            let mut parts = parts.clone();
            parts[place] = spoilt;
            assert_guarded(&keyring, &parts.join("."));
            refused += 1;
        }
    }
    println!("J-24 {refused}/35 refused");
    assert_eq!(refused, 35);
}

//! CBC, where it is allowed: nothing is looked at before its MAC is right, least of all the padding.

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::symm::{Crypter, Mode};

use super::opening::{number_in, vector};
use super::*;

fn with_cbc_allowed() -> Keyring {
    Keyring::load(&repository("keys"), with_cbc()).unwrap()
}

#[test]
fn j21_cbc_opens_only_where_it_is_allowed_and_only_unchanged() {
    let token = vector("a128cbc-hs256");
    assert_guarded(&demonstration_keys(), &token);
    let keyring = with_cbc_allowed();
    let plaintext = keyring.open(&token, None).unwrap();
    assert_eq!(number_in(&plaintext), "5480983162311596");
    let parts = token.split('.');
    let parts: Vec<Vec<u8>> = parts
        .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap())
        .collect();
    let good = Token(parts.try_into().unwrap());
    let mut refused = 0;
    let mut assert_closed = |token: &Token| {
        let closed = keyring.open(&token.text(), None).err();
        assert_eq!(closed, Some(OpenError::Refused));
        refused += 1;
    };
    for place in [2, 3, 4] {
        for byte in 0..good.0[place].len() {
            let mut changed = good.clone();
            changed.0[place][byte] ^= 0x80;
            assert_closed(&changed);
        }
    }
    let mut other_header = good;
    other_header.0[0].extend_from_slice(b" ");
    assert_closed(&other_header);
    println!("J-21 {refused} changes of MAC, IV, ciphertext and header refused");
}

const CEK: [u8; 32] = [7; 32];
const IV: [u8; 16] = [1; 16];

/// The MAC of AES_128_CBC_HMAC_SHA_256 (RFC 7518, 5.2.2), and the ciphertext of these blocks as they are.
fn sealed(header: &str, blocks: &[u8]) -> [Vec<u8>; 2] {
    let cipher = Cipher::aes_128_cbc();
    let mut crypter = Crypter::new(cipher, Mode::Encrypt, &CEK[16..], Some(&IV)).unwrap();
    crypter.pad(false);
    let mut ciphertext = vec![0; blocks.len() + 16];
    let length = crypter.update(blocks, &mut ciphertext).unwrap();
    ciphertext.truncate(length);
    let aad = URL_SAFE_NO_PAD.encode(header);
    let key = PKey::hmac(&CEK[..16]).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    let length = (aad.len() as u64 * 8).to_be_bytes();
    for part in [aad.as_bytes(), &IV, &ciphertext, &length] {
        signer.update(part).unwrap();
    }
    let mut mac = signer.sign_to_vec().unwrap();
    mac.truncate(16);
    [ciphertext, mac]
}

#[test]
fn j21_a_fault_of_the_padding_cannot_be_told_from_one_of_the_mac() {
    let keyring = with_cbc_allowed();
    let header = HEADER.replace("A256GCM", "A128CBC-HS256");
    let wrapped = Token::new(&header, &CEK, &IV);
    let open = |blocks: &[u8], is_mac_right: bool| {
        let [ciphertext, mut mac] = sealed(&header, blocks);
        mac[15] ^= u8::from(!is_mac_right);
        let mut token = wrapped.clone();
        (token.0[3], token.0[4]) = (ciphertext, mac);
        let before = keyring.private_operations();
        let opened = keyring.open(&token.text(), None);
        assert_eq!(keyring.private_operations(), before + 1);
        opened.map(|plaintext| plaintext.to_vec())
    };
    let mut block = *b"{\"a\":\"01234567\"}";
    let padded = |end: &[u8]| {
        let mut two = [block.to_vec(), vec![3; 16]].concat();
        two.truncate(32 - end.len());
        two.extend_from_slice(end);
        two
    };
    let right = padded(&[16; 16]);
    assert_eq!(open(&right, true), Ok(block.to_vec()));
    let mut faults = [
        &[0][..],
        &[17],
        &[255],
        &[2, 1, 2, 3],
        &[1, 2],
        &[4, 4, 4, 0],
    ]
    .map(padded)
    .to_vec();
    // No padding at all, and a whole block of one that is wrong at its beginning.
    faults.push(padded(&[&[15][..], &[16; 15]].concat()));
    block[15] = 0;
    faults.push(block.to_vec());
    let mac_fault = open(&right, false).unwrap_err();
    for blocks in &faults {
        for is_mac_right in [true, false] {
            let refused = open(blocks, is_mac_right).unwrap_err();
            assert_eq!(
                (refused, refused.to_string()),
                (mac_fault, mac_fault.to_string())
            );
        }
    }
    println!(
        "J-21 {} faults of padding under right and wrong MACs, one error",
        faults.len()
    );
}

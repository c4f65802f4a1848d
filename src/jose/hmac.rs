//! HMAC-SHA-256 (RFC 2104) under a 32-byte key.
//!
//! Written on OpenSSL's hash, because its HMAC objects allocate and can fail, and a digest is taken of every item.

use openssl::sha::Sha256;
use zeroize::Zeroizing;

const BLOCK: usize = 64;

/// A running HMAC.
pub(super) struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Hmac {
    pub(super) fn new(key: &[u8; 32]) -> Hmac {
        Hmac {
            inner: keyed(key, 0x36),
            outer: keyed(key, 0x5c),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    pub(super) fn finish(mut self) -> [u8; 32] {
        self.outer.update(&self.inner.finish());
        self.outer.finish()
    }
}

fn keyed(key: &[u8; 32], pad: u8) -> Sha256 {
    let mut block = Zeroizing::new([pad; BLOCK]);
    for (byte, key) in block.iter_mut().zip(key) {
        *byte ^= key;
    }
    let mut hash = Sha256::new();
    hash.update(&*block);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::hex;

    /// A shorter key and the same key filled with zeros give the same HMAC, so RFC 4231's short keys fit.
    fn hmac(short_key: &[u8], text: &[u8]) -> String {
        let mut key = [0; 32];
        key[..short_key.len()].copy_from_slice(short_key);
        let mut hmac = Hmac::new(&key);
        hmac.update(text);
        hex::encode(&hmac.finish())
    }

    #[test]
    fn the_cases_of_rfc_4231_come_out() {
        assert_eq!(
            hmac(&[0x0b; 20], b"Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            hmac(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hmac(&[0xaa; 20], &[0xdd; 50]),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        );
    }
}

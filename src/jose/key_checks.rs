//! What an RSA key must be before it is used.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use openssl::bn::{BigNum, BigNumRef};
use openssl::error::ErrorStack;
use openssl::pkey::{Id, PKey, Private};
use openssl::rsa::Rsa;
use openssl::sha::sha256;
use zeroize::Zeroizing;

use super::KeyError;

/// Bits of an RSA modulus.
pub(super) const MIN_BITS: u32 = 2048;
pub(super) const MAX_BITS: u32 = 4096;

const NOT_A_KEY: &str =
    "is not one RSA private key in PEM form; export it with `openssl pkey -in FILE -out FILE.pem`";
const LOCKED: &str =
    "is protected by a passphrase; store it without one: `openssl pkey -in FILE -out FILE.pem`";
const NOT_RSA: &str = "is not an RSA key; Mastercard knows RSA keys only";
const WRONG_SIZE: &str = "has a modulus of less than 2048 or more than 4096 bits; make a new key";
const WEAK_EXPONENT: &str = "has a public exponent that is even or below 65537; make a new key";
const ROCA: &str =
    "has a modulus that can be factored (ROCA, CVE-2017-15361); revoke it and make a new key";
const INCONSISTENT: &str =
    "has parts that do not belong together; restore it from its source or make a new key";

/// Reads the one private key of a PEM file and checks it.
pub(crate) fn private_key(file: &Path, pem: &[u8]) -> Result<Rsa<Private>, KeyError> {
    parse(pem)
        .and_then(|key| match problem_of(&key) {
            Ok(None) => Ok(key),
            Ok(Some(problem)) => Err(problem),
            Err(_) => Err(INCONSISTENT),
        })
        .map_err(|problem| KeyError::unusable(file, problem))
}

fn parse(pem: &[u8]) -> Result<Rsa<Private>, &'static str> {
    let text = std::str::from_utf8(pem).map_err(|_| NOT_A_KEY)?;
    // With a certificate beside the key it would be unclear which of the two counts.
    if text.matches("-----BEGIN ").count() != 1 {
        return Err(NOT_A_KEY);
    }
    if text.contains("ENCRYPTED") {
        return Err(LOCKED);
    }
    // The empty passphrase keeps OpenSSL from asking for one on the terminal.
    let key = PKey::private_key_from_pem_passphrase(pem, b"").map_err(|_| NOT_A_KEY)?;
    if key.id() != Id::RSA {
        return Err(NOT_RSA);
    }
    key.rsa().map_err(|_| NOT_RSA)
}

fn problem_of(key: &Rsa<Private>) -> Result<Option<&'static str>, ErrorStack> {
    if let Some(weakness) = weakness(key.n(), key.e())? {
        return Ok(Some(weakness));
    }
    Ok((!is_consistent(key)?).then_some(INCONSISTENT))
}

/// Whether the parts of a private key belong together. To find that out takes a tenth of a second, and every folder of
/// keys is loaded by more than one: a key that was found to be so is not looked at again in this process.
pub(super) fn is_consistent(key: &Rsa<Private>) -> Result<bool, ErrorStack> {
    static FOUND: Mutex<BTreeSet<[u8; 32]>> = Mutex::new(BTreeSet::new());
    let found = || FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let digest = sha256(&Zeroizing::new(key.private_key_to_der()?));
    if found().contains(&digest) {
        return Ok(true);
    }
    let is_consistent = key.check_key()?;
    if is_consistent {
        found().insert(digest);
    }
    Ok(is_consistent)
}

/// What makes the public half of an RSA key unfit, whoever holds the private one.
pub(super) fn weakness(
    modulus: &BigNumRef,
    exponent: &BigNumRef,
) -> Result<Option<&'static str>, ErrorStack> {
    if !(MIN_BITS as i32..=MAX_BITS as i32).contains(&modulus.num_bits()) {
        return Ok(Some(WRONG_SIZE));
    }
    if !exponent.is_bit_set(0) || *exponent < *BigNum::from_u32(65537)? {
        return Ok(Some(WEAK_EXPONENT));
    }
    Ok(is_roca(modulus)?.then_some(ROCA))
}

/// Odd primes up to 167, the ones the faulty generator worked with at every key size.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether the modulus is a power of 65537 modulo every small prime, which a random one is once in 2^27 or less.
pub(super) fn is_roca(modulus: &BigNumRef) -> Result<bool, ErrorStack> {
    for prime in PRIMES {
        if !is_power_of_65537(modulus.mod_word(prime)?, u64::from(prime)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_power_of_65537(residue: u64, prime: u64) -> bool {
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * 65537 % prime;
        if power == 1 {
            return false;
        }
    }
}

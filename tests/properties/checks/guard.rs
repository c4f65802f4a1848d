//! Whatever calls itself a JWE, a JWS or a key set.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokenkeep::jose::VerificationKeys;

use super::{keyring, repository};

/// Longer than this no token may keep a core busy.
const SLOW: Duration = Duration::from_millis(100);

pub fn check(bytes: &[u8]) {
    let Ok(token) = std::str::from_utf8(bytes) else {
        return;
    };
    let is_slow = || {
        let begun = Instant::now();
        open(token);
        begun.elapsed() > SLOW
    };
    // Once may be the machine's fault.
    assert!(!(is_slow() && is_slow() && is_slow()), "slower than 100 ms");
    if let Ok(jws) = signers().verify(token) {
        assert_eq!(token.split('.').count(), 3);
        assert_eq!(jws.header["alg"], jws.alg.name());
        assert_eq!(jws.header["kid"], jws.kid.as_str());
    }
    if let Ok(set) = VerificationKeys::parse_jwks(bytes) {
        assert!(set.kids().count() <= bytes.len());
    }
}

/// Opens a token. One that opens had nothing that the guard must not let pass.
pub fn open(token: &str) -> bool {
    let opened = keyring().open(token, None).is_ok();
    if opened {
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 5);
        assert!(token.len() <= 64 * 1024);
        let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        assert!(token.chars().all(alphabet));
        // IVs of 12 or 16 bytes, tags of 16.
        assert!([16, 22].contains(&parts[2].len()) && parts[4].len() == 22);
    }
    opened
}

fn signers() -> &'static VerificationKeys {
    static KEYS: OnceLock<VerificationKeys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut all = VerificationKeys::default();
        for file in ["sandbox.json", "alliance/sandbox.json"] {
            let set = std::fs::read(repository("keys/verification").join(file)).unwrap();
            all.merge(VerificationKeys::parse_jwks(&set).unwrap())
                .unwrap();
        }
        all
    })
}

//! The six forms in which a secret is looked for.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::canaries::{NUMBERS, TEXTS};

/// All forms of all secrets, to search for at once.
pub struct Forms {
    patterns: Vec<(&'static str, String)>,
    search: AhoCorasick,
}

impl Forms {
    pub fn new() -> Self {
        let secrets = NUMBERS.iter().chain(&TEXTS);
        let patterns: Vec<_> = secrets.flat_map(|secret| forms_of(secret)).collect();
        let search = AhoCorasick::new(patterns.iter().map(|(_, pattern)| pattern)).unwrap();
        Self { patterns, search }
    }

    /// Where a secret stands, and in which form; never the secret.
    pub fn find(&self, bytes: &[u8]) -> Vec<String> {
        let found = self.search.find_iter(bytes);
        let tell = |hit: aho_corasick::Match| {
            let pattern = hit.pattern().as_usize();
            let form = self.patterns[pattern].0;
            format!(
                "a secret, {form}, at byte {} (pattern {pattern})",
                hit.start()
            )
        };
        found.map(tell).collect()
    }
}

fn forms_of(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let each = |write: &dyn Fn(&u8) -> String| bytes.iter().map(write).collect::<String>();
    let mut forms = vec![
        ("plain", secret.to_owned()),
        ("hex", each(&|byte| format!("{byte:02x}"))),
        ("hex", each(&|byte| format!("{byte:02X}"))),
        ("URL-encoded", each(&|byte| format!("%{byte:02X}"))),
        ("URL-encoded", each(&|byte| format!("%{byte:02x}"))),
    ];
    if secret.bytes().all(|byte| byte.is_ascii_digit()) {
        for mark in [" ", "-", "%20", "+"] {
            let groups: Vec<&str> = (0..secret.len())
                .step_by(4)
                .map(|at| &secret[at..secret.len().min(at + 4)])
                .collect();
            forms.push(("spaced", groups.join(mark)));
        }
    }
    // What stands before it decides where its bits begin.
    for before in 0..3 {
        let whole = [&b"xx"[..before], bytes].concat();
        let (from, to) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
        let texts = [
            ("base64", STANDARD_NO_PAD.encode(&whole)),
            ("base64url", URL_SAFE_NO_PAD.encode(&whole)),
        ];
        forms.extend(texts.map(|(form, text)| (form, text[from..to].to_owned())));
    }
    forms.sort();
    forms.dedup_by(|a, b| a.1 == b.1);
    forms
}

//! The six forms in which a secret is looked for, whether it is text or bytes.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// All forms of all secrets, to search for at once.
pub struct Forms {
    /// The form of each pattern, and which secret it is of.
    patterns: Vec<(&'static str, usize)>,
    search: AhoCorasick,
}

impl Forms {
    pub fn of(secrets: &[Vec<u8>]) -> Self {
        let mut patterns = Vec::new();
        let mut texts = Vec::new();
        for (number, secret) in secrets.iter().enumerate() {
            for (form, text) in forms_of(secret) {
                patterns.push((form, number));
                texts.push(text);
            }
        }
        let search = AhoCorasick::new(texts).unwrap();
        Self { patterns, search }
    }

    /// Where a secret stands, and in which form; never the secret.
    pub fn find(&self, bytes: &[u8]) -> Vec<String> {
        let found = self.search.find_iter(bytes);
        let tell = |hit: aho_corasick::Match| {
            let (form, number) = self.patterns[hit.pattern().as_usize()];
            format!("secret {number}, {form}, at byte {}", hit.start())
        };
        found.map(tell).collect()
    }
}

fn forms_of(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each = |write: &dyn Fn(&u8) -> String| secret.iter().map(write).collect::<String>();
    let mut forms = vec![
        ("plain", secret.to_owned()),
        ("hex", each(&|byte| format!("{byte:02x}")).into_bytes()),
        ("hex", each(&|byte| format!("{byte:02X}")).into_bytes()),
        (
            "URL-encoded",
            each(&|byte| format!("%{byte:02X}")).into_bytes(),
        ),
        (
            "URL-encoded",
            each(&|byte| format!("%{byte:02x}")).into_bytes(),
        ),
    ];
    if secret.iter().all(u8::is_ascii_digit) {
        let groups: Vec<&[u8]> = secret.chunks(4).collect();
        let marks = [" ", "-", "%20", "+"];
        forms.extend(marks.map(|mark| ("spaced", groups.join(mark.as_bytes()))));
    }
    // What stands before it decides where its bits begin.
    for before in 0..3 {
        let whole = [&b"xx"[..before], secret].concat();
        let (from, to) = ((before * 8).div_ceil(6), whole.len() * 8 / 6);
        let texts = [
            ("base64", STANDARD_NO_PAD.encode(&whole)),
            ("base64url", URL_SAFE_NO_PAD.encode(&whole)),
        ];
        forms.extend(texts.map(|(form, text)| (form, text.as_bytes()[from..to].to_owned())));
    }
    forms.sort();
    forms.dedup_by(|a, b| a.1 == b.1);
    forms
}

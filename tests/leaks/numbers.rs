//! Anything that looks like a card number: 13 to 19 digits that stand alone, in a range of card numbers, with a
//! check digit that fits; and every number of the sandbox's range.

use crate::canaries::SANDBOX_RANGE;

/// Numbers that schemes and gateways publish for tests would stand here; none is needed so far.
const ALLOWED: [&str; 0] = [];

/// Where such numbers stand in a text.
pub fn find(text: &[u8]) -> Vec<String> {
    stand_alone(text, is_number)
}

/// Where numbers of the sandbox's range stand.
pub fn find_of_sandbox(bytes: &[u8]) -> Vec<String> {
    stand_alone(bytes, is_of_sandbox)
}

fn stand_alone(bytes: &[u8], is_meant: fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(from) = bytes[at..].iter().position(u8::is_ascii_digit) {
        let start = at + from;
        let length = bytes[start..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        at = start + length;
        let stands_alone = |byte: Option<&u8>| !byte.is_some_and(u8::is_ascii_alphanumeric);
        let before = |count| start.checked_sub(count).and_then(|at| bytes.get(at));
        let is_fraction = before(1) == Some(&b'.') && before(2).is_some_and(u8::is_ascii_digit);
        let is_alone = !is_fraction && stands_alone(before(1)) && stands_alone(bytes.get(at));
        let digits = std::str::from_utf8(&bytes[start..at]).unwrap();
        if is_alone && is_meant(digits) && !ALLOWED.contains(&digits) {
            found.push(format!(
                "{length} digits like a card number at byte {start}"
            ));
        }
    }
    found
}

fn is_of_sandbox(digits: &str) -> bool {
    digits.len() == 16 && digits.starts_with(SANDBOX_RANGE)
}

fn is_number(digits: &str) -> bool {
    is_of_sandbox(digits)
        || ((13..=19).contains(&digits.len()) && is_in_a_range(digits) && check_digit_fits(digits))
}

/// Times in milliseconds begin with 1, those of other units have other lengths than cards of 2.
fn is_in_a_range(digits: &str) -> bool {
    let first_four: u32 = digits[..4].parse().unwrap();
    match digits.len() {
        13 => first_four / 1000 == 4,
        _ => (2221..=2720).contains(&first_four) || (3000..=6999).contains(&first_four),
    }
}

pub fn check_digit_fits(digits: &str) -> bool {
    let sum: u32 = (digits.bytes().rev().enumerate())
        .map(|(place, byte)| match (place % 2, u32::from(byte - b'0')) {
            (0, digit) => digit,
            (_, digit) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

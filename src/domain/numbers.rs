//! What could be a full card or token number, and what is shown in its place.

use std::borrow::Cow;

use uuid::Uuid;

/// Digits of the shortest token number.
const SHORTEST_NUMBER: usize = 12;
/// Digits of a number that are shown.
const SHOWN: usize = 4;
/// Digits of the largest index of an item in its delivery.
const LONGEST_INDEX: usize = 4;
/// How often a text may be encoded.
const ENCODINGS: usize = 4;

/// Whether a word has as many digits as a token number, in one piece or in groups: stricter than
/// [`has_full_number`], for words of which none is missed.
pub fn could_hold_a_number(word: &str) -> bool {
    let joined = word.replace(['-', '_', ' '], "");
    let mut runs = joined.split(|c: char| !c.is_ascii_digit());
    runs.any(|run| run.len() >= SHORTEST_NUMBER)
}

/// A path or an id in which nothing is a full number, also percent-encoded: of each part that holds one, its
/// last digits alone. None if there is nothing to mask.
pub fn with_numbers_masked(text: &str) -> Option<String> {
    let mut plain = Cow::Borrowed(text);
    for _ in 0..ENCODINGS {
        match decoded(&plain) {
            Some(decoded) => plain = Cow::Owned(decoded),
            None => break,
        }
    }
    let parts: Vec<Cow<'_, str>> = plain.split('/').map(part_masked).collect();
    let is_masked = parts.iter().any(|part| matches!(part, Cow::Owned(_)));
    is_masked.then(|| parts.join("/"))
}

fn part_masked(part: &str) -> Cow<'_, str> {
    // Signs that join groups of digits in words that systems make.
    if is_own_id(part) || !has_full_number(&part.replace(['_', '+'], "-")) {
        return Cow::Borrowed(part);
    }
    let digits = part.chars().filter(char::is_ascii_digit).count();
    let mut hidden = digits.saturating_sub(SHOWN);
    let masked = part
        .chars()
        .map(|c| match c.is_ascii_digit() && hidden > 0 {
            true => {
                hidden -= 1;
                '*'
            }
            false => c,
        });
    Cow::Owned(masked.collect())
}

/// Our own ids are UUIDs of version 7, an item's with a dot and its index behind it.
fn is_own_id(part: &str) -> bool {
    let (id, index) = part.split_once('.').unwrap_or((part, "0"));
    let is_index = index.len() <= LONGEST_INDEX && index.bytes().all(|byte| byte.is_ascii_digit());
    let is_ours = |id: Uuid| id.get_version_num() == 7;
    is_index && id.contains('-') && Uuid::parse_str(id).is_ok_and(is_ours)
}

/// A text once decoded; none if nothing in it is percent-encoded.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let code = behind.first_chunk().filter(|_| first == b'%');
        let byte = code.and_then(|[high, low]| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
        });
        bytes.push(byte.unwrap_or(first));
        rest = match byte {
            Some(_) => behind.get(2..).unwrap_or_default(),
            None => behind,
        };
    }
    (bytes != text.as_bytes()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a text holds what could be a full number: 13 to 19 digits whose check digit fits, in one
/// piece or in groups with spaces or dashes between them, or more digits than that in one piece.
pub fn has_full_number(text: &str) -> bool {
    // In an address dashes separate words, as in a UUID.
    let joins = |c: char| c == ' ' || (c == '-' && !text.contains("://"));
    let digits =
        |group: &str| -> Vec<u32> { group.chars().filter_map(|c| c.to_digit(10)).collect() };
    text.split(|c: char| !c.is_ascii_digit() && !joins(c))
        .any(|piece| {
            let groups: Vec<Vec<u32>> = piece.split(joins).map(digits).collect();
            is_number_among(&groups)
        })
}

/// Whether some neighbouring groups of digits make a number together.
fn is_number_among(groups: &[Vec<u32>]) -> bool {
    let starting_at = |start: usize| {
        let mut digits = Vec::new();
        groups.iter().skip(start).any(|group| {
            digits.extend_from_slice(group);
            (13..=19).contains(&digits.len()) && check_digit_fits(&digits)
        })
    };
    groups.iter().any(|group| group.len() > 19) || (0..groups.len()).any(starting_at)
}

/// The Luhn check of ISO/IEC 7812.
fn check_digit_fits(digits: &[u32]) -> bool {
    let sum: u32 = (digits.iter().rev().enumerate())
        .map(|(place, digit)| match place % 2 {
            0 => *digit,
            _ => digit * 2 - if *digit > 4 { 9 } else { 0 },
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_the_digits_of_a_number_is_known_in_one_piece_and_in_groups() {
        for word in [
            "548098316231",
            "5480983162311596",
            "5480-9831-6231-1596",
            "TOKEN_5480_9831_6231",
            "5480 9831 6231 1596",
        ] {
            assert!(could_hold_a_number(word), "{word}");
        }
        for word in [
            "",
            "INVALID_VALUE",
            "t_signature",
            "90001",
            "E-12345678901",
            "5480A98316231",
        ] {
            assert!(!could_hold_a_number(word), "{word}");
        }
    }

    #[test]
    fn p16_of_a_number_in_an_object_only_the_last_digits_stay_however_it_is_written() {
        let masked = [
            ("/v1/cards/5480983162311596", "/v1/cards/************1596"),
            ("5480983162311596", "************1596"),
            ("cards/x5480983162311596", "cards/x************1596"),
            (
                "/v1/cards/5480-9831-6231-1596/x",
                "/v1/cards/****-****-****-1596/x",
            ),
            (
                "/v1/cards/5480%209831%206231%201596",
                "/v1/cards/**** **** **** 1596",
            ),
            (
                "/v1/cards/5480_9831_6231_1596",
                "/v1/cards/****_****_****_1596",
            ),
            ("/v1/%35%34%38%30983162311596", "/v1/************1596"),
            ("/v1/%2535480983162311596", "/v1/************1596"),
            (
                "/v1/notifications/019abc12-3456-7abc-8def-0123456789ab.5480983162311596",
                "/v1/notifications/***abc**-****-*abc-*def-**********ab.************1596",
            ),
            (
                "/v1/outbox/54809831-6231-1596-8000-000000000000",
                "/v1/outbox/********-****-****-****-********0000",
            ),
        ];
        for (object, expected) in masked {
            assert_eq!(
                with_numbers_masked(object).as_deref(),
                Some(expected),
                "{object}"
            );
        }
        println!(
            "P-16 {} of {} objects with a number masked",
            masked.len(),
            masked.len()
        );
    }

    #[test]
    fn p16_an_object_without_a_number_is_recorded_as_it_is() {
        for object in [
            "",
            "/v1/cards",
            "/v1/cards/aaaaaaaaaaaarCA000000000000US",
            "/v1/cards/5480983162311597",
            "/v1/cards/a%41%zz%",
            "/v1/notifications/01234567-8901-7234-8678-901234567890.12",
            "cards/\u{e4}\u{20ac}",
        ] {
            assert_eq!(with_numbers_masked(object), None, "{object}");
        }
    }
}

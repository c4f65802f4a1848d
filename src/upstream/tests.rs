//! How long the other side asks to wait, and where the keys are under which it signs.

use std::path::Path;
use std::time::Duration;

use rstest::rstest;

use crate::upstream::failure::{could_hold_a_number, retry_after};
use crate::upstream::{KeySetFiles, Verification};

/// 20 July 2026, 10:00 UTC, in milliseconds.
const NOW: i64 = 1_784_541_600_000;

#[rstest]
#[case("1", Some(1))]
#[case(" 120 ", Some(120))]
#[case("3600", Some(3600))]
#[case("3601", Some(3600))]
#[case("1000000000", Some(3600))]
#[case("99999999999999999999999999", Some(3600))]
#[case("0", None)]
#[case("-5", None)]
#[case("+5", None)]
#[case("1.5", None)]
#[case("", None)]
#[case("soon", None)]
#[case("Mon, 20 Jul 2026 10:02:00 GMT", Some(120))]
#[case("Mon, 20 Jul 2026 09:59:59 GMT", None)]
#[case("Mon, 20 Jul 2026 10:00:00 GMT", None)]
#[case("Wed, 01 Jan 2053 00:00:00 GMT", Some(3600))]
#[case("Mon, 20 Jul 2026 25:00:00 GMT", None)]
fn retry_after_is_seconds_or_a_date_and_an_hour_at_most(
    #[case] value: &str,
    #[case] seconds: Option<u64>,
) {
    assert_eq!(retry_after(value, NOW), seconds.map(Duration::from_secs));
}

#[test]
fn the_keys_of_a_program_come_from_a_folder_from_one_file_or_from_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("keys");
    let load = |files| Verification::load(&root, files, "bank", false);
    let file = |name: &str| KeySetFiles::File(name.into());
    for files in [
        KeySetFiles::Folder("verification"),
        file("verification/sandbox.json"),
    ] {
        assert_eq!(load(files).unwrap().keys().kids().count(), 1);
    }
    assert!(load(file("")).unwrap().can_never_verify());
    let told = load(file("verification/no.json"))
        .err()
        .unwrap()
        .to_string();
    assert!(
        told.contains("verification/no.json: entity not found"),
        "{told}"
    );
}

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

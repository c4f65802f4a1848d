//! No card number stands in the repository but those that are published for tests.

use std::path::Path;
use std::process::Command;

use crate::numbers::check_digit_fits;

/// Numbers that pass the check digit and are nobody's: published by Mastercard and by gateways for samples and tests.
const ALLOWED: [&str; 5] = [
    "5480983162311596",
    "5555555555554444",
    "4111111111111111",
    "378282246310005",
    // In no scheme's range: what the door's tests look for in answers and logs.
    "9988776655443325",
];

/// Runs of 13 to 19 digits that stand alone and pass the check digit.
fn numbers(text: &str) -> Vec<&str> {
    let runs = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_number = |run: &&str| {
        (13..=19).contains(&run.len())
            && run.bytes().all(|byte| byte.is_ascii_digit())
            // Times in milliseconds are no cards.
            && !(run.len() == 13 && run.starts_with('1'))
            && check_digit_fits(run)
    };
    runs.filter(is_number).collect()
}

#[test]
fn p13_only_published_test_numbers_stand_in_the_repository() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<&str> = listed.split_terminator('\0').collect();
    assert!(files.len() > 300, "the repository was not listed");
    let mut found = Vec::new();
    for file in &files {
        // A file that is deleted but not yet committed has no content.
        let text = std::fs::read(root.join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let strange = numbers(&text).into_iter().filter(|n| !ALLOWED.contains(n));
        found.extend(strange.map(|number| format!("{file}: {}…", &number[..6])));
    }
    println!(
        "P-13 {} numbers outside the list in {} files",
        found.len(),
        files.len()
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn p13_the_scan_knows_a_number_when_it_sees_one() {
    assert_eq!(numbers("a=\"5555555555554444\";"), ["5555555555554444"]);
    assert!(numbers("5555555555554445 1784541600000 a5555555555554444").is_empty());
}

//! The demo: what a newcomer sees first.

use std::process::Command;

/// Runs `demo --exit` in the project's folder; returns what it printed.
fn story() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
        .args(["demo", "--exit"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of one delivery of the story.
fn chapter<'a>(story: &'a str, title: &str) -> &'a str {
    let (_, rest) = story
        .split_once(&format!(". {title}: answered 204\n"))
        .expect(title);
    rest.split("\n\n").next().unwrap()
}

#[test]
fn the_demo_tells_for_each_fixture_what_it_changed_and_why() {
    let story = story();
    for (title, expected) in [
        (
            "number and expiry changed",
            "applied, rule number-and-expiry-changed",
        ),
        ("number changed", "applied, rule number-changed"),
        ("expiry changed", "applied, rule expiry-changed"),
        ("nothing changed", "no_change, rule same-values"),
        ("the same encrypted anew", "duplicate, rule same-identity"),
        (
            "suspended",
            "may be charged: no: suspended; cryptogram: none",
        ),
        ("a late older refresh", "stale, rule token-older"),
        ("active again", "cryptogram: due"),
        ("fully encrypted list", "ACTIVE -> SUSPENDED"),
        ("fully encrypted object", "SUSPENDED -> ACTIVE"),
        ("fully encrypted single item", "ACTIVE -> SUSPENDED"),
        ("an unknown status", "parked(status-unknown)"),
        ("cancelled", "applied, rule cancelled"),
        ("a refresh nobody can open", "quarantined(unknown-key)"),
        ("an unknown reason", "applied, rule masked-card-newer"),
        (
            "digits that disagree",
            "applied, rule number-and-expiry-changed",
        ),
        ("after the end", "stale, rule terminal"),
        ("without a time", "ACTIVE -> SUSPENDED"),
    ] {
        let chapter = chapter(&story, title);
        assert!(chapter.contains(expected), "{title}:\n{chapter}");
        assert!(chapter.contains("why: "), "{title}:\n{chapter}");
    }
    assert!(chapter(&story, "number changed").contains("cryptogram: due"));
    assert_eq!(
        chapter(&story, "a batch of two cards")
            .matches(": applied, rule")
            .count(),
        2
    );
}

#[test]
fn the_demo_shows_no_full_number() {
    let digits = |line: &&str| line.chars().filter(char::is_ascii_digit).count();
    let story = story();
    assert!(
        !story.contains("54809800000000"),
        "a full number is printed"
    );
    let numbers = story.lines().filter(|line| line.contains("token.number "));
    assert!(
        numbers
            .inspect(|line| assert!(digits(line) <= 8, "{line}"))
            .count()
            > 3
    );
}

//! The demo: what a newcomer sees first.

use std::process::Command;
use std::sync::LazyLock;

use insta::assert_snapshot;

/// What a newcomer reads; told once for all tests.
static STORY: LazyLock<String> = LazyLock::new(story);

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
    let story = STORY.as_str();
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
        let chapter = chapter(story, title);
        assert!(chapter.contains(expected), "{title}:\n{chapter}");
        assert!(chapter.contains("why: "), "{title}:\n{chapter}");
    }
    assert!(chapter(story, "number changed").contains("cryptogram: due"));
    assert_eq!(
        chapter(story, "a batch of two cards")
            .matches(": applied, rule")
            .count(),
        2
    );
}

/// The text without the instants in it.
fn timeless(text: &str) -> String {
    let timeless = |line: &str| match line.split_once(" since ") {
        Some((before, _)) => format!("{before} since TIME"),
        None => line.to_owned(),
    };
    Vec::from_iter(text.lines().map(timeless)).join("\n")
}

#[test]
fn the_demo_shows_one_card_of_each_program() {
    let (_, rest) = STORY.split_once("One card of each other program").unwrap();
    let (cards, _) = rest.split_once("The fixtures, one by one").unwrap();
    assert_snapshot!(timeless(cards));
}

#[test]
fn the_demo_shows_that_a_card_of_checkout_is_not_the_merchants_to_suspend() {
    let (_, refused) = STORY.split_once("wants the card suspended\n").unwrap();
    let refusal = "token-status: 409; the card's program does not offer this: to suspend and \
                   resume its tokens is the issuer's";
    assert!(
        refused.lines().next().unwrap().ends_with(refusal),
        "{refused}"
    );
}

#[test]
fn the_demo_ends_with_every_card_and_its_tokens() {
    let (_, end) = STORY.split_once("The cards in the end\n").unwrap();
    let of = |card: &str| {
        let line = end.lines().find(|line| line.trim().starts_with(card));
        line.unwrap_or_else(|| panic!("{card} is missing:\n{end}"))
    };
    assert!(of("70001 ").contains("no: status-unknown"), "{end}");
    assert!(
        of("70002 ").contains("…2345, ACTIVE; …9876, SUSPENDED"),
        "{end}"
    );
    assert!(
        of("demo-card-of-the-bank ").contains("…pWAt, DELETED"),
        "{end}"
    );
    assert!(of("demo-card-of-the-story ").contains("CANCELLED"), "{end}");
}

#[test]
fn the_demo_shows_no_full_number() {
    let digits = |line: &&str| line.chars().filter(char::is_ascii_digit).count();
    let story = STORY.as_str();
    for secret in ["54809800000000", "55987654321", "s9UCfCNN0YMk4ZOy"] {
        assert!(!story.contains(secret), "a full number is printed");
    }
    let numbers = story.lines().filter(|line| line.contains("token.number "));
    assert!(
        numbers
            .inspect(|line| assert!(digits(line) <= 8, "{line}"))
            .count()
            > 3
    );
}

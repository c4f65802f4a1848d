//! `cards status`: what it refuses, in what words, and that it quotes no token.

use rstest::rstest;

use crate::commands_status::{BANK_TOKEN, CONTRACT, Cards, FIRST, SHOP_CARD, STRAY, refused};
use crate::support::Backend;

#[rstest]
#[case::nothing("")]
#[case::an_empty_line("\n")]
#[case::two_lines("5598765432109876\n5598765432102345\n")]
#[case::a_space("5598765432109876 ")]
#[case::too_long(&"1".repeat(256))]
fn what_is_no_token_on_standard_input_is_refused_without_being_quoted(#[case] input: &str) {
    let cards = Cards::new(Backend::Sqlite);
    let ran = cards.for_token(CONTRACT, "suspend", input);
    refused(&ran, 2, "standard input does not hold a token");
    assert_eq!(cards.commands(CONTRACT).len(), 0);
}

#[rstest]
#[case::a_number(&["--token", FIRST])]
#[case::a_number_after_an_equals_sign(&["--token=5598765432109876"])]
#[case::a_token_that_begins_with_a_hyphen(&["--token", BANK_TOKEN])]
fn a_token_as_an_argument_is_refused_without_being_quoted(#[case] args: &[&str]) {
    let cards = Cards::new(Backend::Sqlite);
    let ran = cards.status(&[&[CONTRACT, "suspend"], args].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.stderr.contains("--token"), "{ran:?}");
    let is_quoted = [FIRST, BANK_TOKEN].iter().any(|t| ran.stderr.contains(t));
    assert!(!is_quoted, "{ran:?}");
    assert_eq!(cards.commands(CONTRACT).len(), 0);
}

#[rstest]
fn what_cannot_be_commanded_is_told_in_one_sentence(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let cards = Cards::new(backend);
    for (card, word, sentence) in [
        ("nobody", "suspend", "no card of this id is known"),
        (
            STRAY,
            "suspend",
            "it is not known which program the card belongs to",
        ),
        (
            STRAY,
            "deactivate",
            "it is not known which program the card belongs to",
        ),
        (
            SHOP_CARD,
            "suspend",
            "to suspend and resume a card of this program is the issuer's",
        ),
        (
            SHOP_CARD,
            "resume",
            "to suspend and resume a card of this program is the issuer's",
        ),
    ] {
        refused(&cards.status(&[card, word]), 1, sentence);
    }
    assert_eq!(
        cards
            .database
            .number("SELECT count(*) AS number FROM outbox WHERE kind = 'token_status'"),
        0
    );
}

#[rstest]
#[case::no_command(&[CONTRACT])]
#[case::another_word(&[CONTRACT, "freeze"])]
#[case::the_word_of_the_wire(&[CONTRACT, "SUSPEND"])]
#[case::impossible_id(&["a b", "suspend"])]
#[case::token_without_value(&[CONTRACT, "suspend", "--token"])]
fn wrong_use_of_status_is_told(#[case] args: &[&str]) {
    let cards = Cards::new(Backend::Sqlite);
    let ran = cards.status(args);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(!ran.stderr.is_empty());
    assert_eq!(cards.commands(CONTRACT).len(), 0);
}

//! What the consumer may be shown, by the status table.

use serde_json::Value;
use tokenkeep::domain::{display, shown_masked_card};

use crate::support::{
    EXPIRY_1, Item, NUMBER_1, Processor, Register, active, cancelled, reports, suspended,
};

fn with_art(item: Item) -> Item {
    item.with("panLastFour", "1111")
        .with("digitalCardData.artUri", "https://example.com/a.png")
        .with("digitalCardData.descriptorName", "Blue")
        .with("panExpirationMonth", "07")
        .with("panExpirationYear", "2031")
}

#[test]
fn an_active_card_is_shown_with_its_last_four() {
    let processor = Processor::after(&[with_art(active(100))]);
    let shown = display(processor.card());

    assert!(shown.visible && !shown.greyed);
    assert_eq!(shown.pan_last_four.as_deref(), Some("1111"));
    assert_eq!(shown.art_uri.as_deref(), Some("https://example.com/a.png"));
    assert_eq!(shown.descriptor_name.as_deref(), Some("Blue"));
    assert_eq!(shown.pan_expiration_month.as_deref(), Some("07"));
    assert_eq!(shown.pan_expiration_year.as_deref(), Some("2031"));
    let masked = shown_masked_card(processor.card());
    assert_eq!(masked["panLastFour"], "1111");
    assert_eq!(masked["digitalCardData"]["status"], "ACTIVE");
    assert_eq!(masked["srcDigitalCardId"], "card-1");
}

fn assert_greyed_without_last_four(processor: &Processor) {
    let shown = display(processor.card());
    assert!(shown.visible && shown.greyed);
    assert_eq!(shown.pan_last_four, None);
    assert!(shown.art_uri.is_some(), "greyed, but shown");
    let masked = shown_masked_card(processor.card());
    assert!(masked.get("panLastFour").is_none());
    assert!(!masked.to_string().contains("1111"));
}

#[test]
fn a_suspended_card_is_greyed_and_never_shows_its_last_four() {
    let processor = Processor::after(&[with_art(active(100)), suspended(200)]);
    assert_greyed_without_last_four(&processor);
    let masked = shown_masked_card(processor.card());
    assert_eq!(masked["digitalCardData"]["status"], "SUSPENDED");
}

#[test]
fn a_card_whose_status_is_unknown_at_first_is_greyed_without_last_four() {
    let mut registered = Processor::new();
    let masked = with_art(active(0)).masked;
    registered.register(&Register {
        masked,
        ..Register::under("shop")
    });
    assert_greyed_without_last_four(&registered);
    let shown = shown_masked_card(registered.card());
    assert_eq!(shown["digitalCardData"].get("status"), None);

    let unknown = Processor::after(&[with_art(reports("LOST", 100))]);
    assert_greyed_without_last_four(&unknown);
}

#[test]
fn an_active_card_with_a_later_unknown_status_is_greyed_without_last_four() {
    let processor = Processor::after(&[with_art(active(100)), reports("LOST", 200)]);
    assert_greyed_without_last_four(&processor);
}

#[test]
fn a_card_that_has_ended_is_not_shown() {
    let processor = Processor::after(&[with_art(active(100)), cancelled(200)]);
    let shown = display(processor.card());

    assert!(!shown.visible && !shown.greyed);
    assert_eq!(shown.pan_last_four, None);
    let masked = shown_masked_card(processor.card());
    assert!(
        masked.get("panLastFour").is_none(),
        "the archive is not for showing"
    );
}

/// The token's digits and expiry are shown as we hold them, whatever the masked card said.
#[test]
fn the_token_register_is_what_is_shown_of_the_token() {
    let processor = Processor::after(&[
        active(100).refresh(NUMBER_1, EXPIRY_1),
        active(200)
            .with("tokenLastFour", "9999")
            .with("tokenExpirationMonth", "12"),
    ]);
    let masked = shown_masked_card(processor.card());

    assert_eq!(masked["tokenLastFour"], "1001");
    assert_eq!(masked["tokenExpirationMonth"], "01");
    assert_eq!(masked["tokenExpirationYear"], "2030");
}

#[test]
fn without_a_known_number_the_received_digits_are_shown() {
    let processor = Processor::after(&[active(100).with("tokenLastFour", "9999")]);
    let masked = shown_masked_card(processor.card());
    assert_eq!(masked["tokenLastFour"], Value::from("9999"));
}

//! Answers whose content is wrong in exactly one way.

use super::*;
use crate::jose::VerifyFault;

fn verify(answer: &Answer) -> Result<VerifiedJws, VerifyFault> {
    let keys = std::fs::read(keys().join("verification/sandbox.json")).unwrap();
    let keys = VerificationKeys::parse_jwks(&keys).unwrap();
    keys.verify(answer.json()["checkoutResponseJWS"].as_str().unwrap())
}

fn spoilt(merchant: &Merchant, fault: Fault) -> Answer {
    merchant.sandbox.answer_next(Operation::Checkout, fault);
    let answer = merchant.checkout();
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

#[test]
fn a_wrong_signature_and_a_foreign_kid_are_not_verified() {
    let merchant = Merchant::new();
    let wrong = spoilt(&merchant, Fault::WrongSignature);
    assert_eq!(verify(&wrong).err(), Some(VerifyFault::WrongSignature));
    let foreign = spoilt(&merchant, Fault::ForeignKid);
    assert_eq!(verify(&foreign).err(), Some(VerifyFault::UnknownKid));
    assert!(verify(&merchant.checkout()).is_ok());
    assert_eq!(merchant.sandbox.issued(CARD).len(), 1);
}

#[test]
fn an_undecryptable_payload_does_not_open() {
    let merchant = Merchant::new();
    let answer = spoilt(&merchant, Fault::Undecryptable);
    let payload = merchant.payload(&answer);
    assert_eq!(opened(&payload["encryptedPayload"]), None);
    merchant
        .sandbox
        .answer_next(Operation::GetCard, Fault::Undecryptable);
    let card = merchant.get_card("&tokenRequested=true").json();
    assert_eq!(opened(&card["encryptedPaymentData"]), None);
}

#[test]
fn another_cards_answer_is_right_but_for_the_card() {
    let merchant = Merchant::new();
    let answer = spoilt(&merchant, Fault::OtherCard);
    let payload = merchant.payload(&answer);
    assert_eq!(payload["srcCorrelationId"], CORRELATION);
    assert_ne!(payload["maskedCard"]["srcDigitalCardId"], CARD);
    let plaintext = opened(&payload["encryptedPayload"]).unwrap();
    assert_ne!(
        plaintext["token"]["paymentToken"],
        merchant.card().number.expose()
    );
    merchant
        .sandbox
        .answer_next(Operation::GetCard, Fault::OtherCard);
    let card = merchant.get_card("").json();
    assert_ne!(card["maskedCard"]["srcDigitalCardId"], CARD);
    assert!(merchant.sandbox.issued(CARD).is_empty());
}

#[test]
fn an_expired_cryptogram_ran_out_a_day_ago() {
    let merchant = Merchant::new();
    let answer = spoilt(&merchant, Fault::ExpiredCryptogram);
    let plaintext = opened(&merchant.payload(&answer)["encryptedPayload"]).unwrap();
    let expired = &plaintext["dynamicData"]["dynamicDataExpiration"];
    assert_eq!(expired, "2026-07-19T10:00:00.000Z");
}

#[test]
fn answers_to_other_requests_are_signed_but_not_for_this_one() {
    let merchant = Merchant::new();
    let first = merchant.checkout();
    let repeated = verify(&spoilt(&merchant, Fault::RepeatedJti)).unwrap();
    assert_eq!(
        repeated.header["jti"],
        verify(&first).unwrap().header["jti"]
    );
    let replayed = spoilt(&merchant, Fault::Replayed);
    let other = spoilt(&merchant, Fault::OtherRequest);
    assert_ne!(merchant.payload(&other)["srcCorrelationId"], CORRELATION);
    assert_ne!(replayed.text, first.text);
    let last = merchant.checkout();
    assert_eq!(spoilt(&merchant, Fault::Replayed).text, last.text);
    assert_eq!(spoilt(&merchant, Fault::Replayed).text, last.text);
    let old = verify(&spoilt(&merchant, Fault::SignedYesterday)).unwrap();
    assert_eq!(old.header["iat"], "1784455200");
}

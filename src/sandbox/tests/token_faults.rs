//! Faults of Processing Digital and of the bank.

use serde_json::json;

use super::alliance::{GET, LIST, UPDATE, ask, error, header, payload, signed, update, verify};
use super::processing::{CONTRACT, command, encrypted, read};
use super::*;
use crate::jose::VerifyFault;

const NUMBER: &str = super::processing::TOKEN;
const TOKEN: &str = super::alliance::TOKEN;

fn spoilt_update(merchant: &Merchant, fault: Fault) -> Answer {
    merchant
        .sandbox
        .answer_next(Operation::UpdateTokenState, fault);
    update(merchant, TOKEN, "SUSPENDED")
}

fn state(merchant: &Merchant) -> String {
    merchant.sandbox.bank_token(TOKEN).unwrap()
}

#[test]
fn an_update_that_is_not_done_says_so_and_is_not() {
    let merchant = Merchant::new();
    let answer = payload(&spoilt_update(&merchant, Fault::NotUpdated));
    assert_eq!(
        (&answer["tokenUpdated"], &answer["token"]),
        (&json!(false), &json!(TOKEN))
    );
    assert_eq!(state(&merchant), "ACTIVE");
}

#[test]
fn an_error_within_200_is_signed_a_plain_one_is_not_and_neither_does_anything() {
    let merchant = Merchant::new();
    let answer = spoilt_update(&merchant, Fault::ErrorWithin200("b_merchant_not_found"));
    let refusal = error(answer.status, &payload(&answer));
    assert_eq!(refusal, (200, "b_merchant_not_found".to_owned()));
    let answer = spoilt_update(&merchant, Fault::PlainError("b_unknown_error"));
    let refusal = error(answer.status, &answer.json());
    assert_eq!(refusal, (200, "b_unknown_error".to_owned()));
    assert_eq!(state(&merchant), "ACTIVE");
}

#[test]
fn what_is_wrong_with_the_signature_only_is_done() {
    let merchant = Merchant::new();
    for (fault, expected) in [
        (Fault::WrongSignature, Some(VerifyFault::WrongSignature)),
        (Fault::ForeignKid, Some(VerifyFault::UnknownKid)),
        (Fault::Unsigned, Some(VerifyFault::Malformed)),
        (Fault::OtherCard, None),
    ] {
        merchant.sandbox.set_bank_token(TOKEN, "ACTIVE");
        let answer = spoilt_update(&merchant, fault.clone());
        assert_eq!((verify(&answer).err(), answer.status), (expected, 200));
        assert_eq!(state(&merchant), "SUSPENDED", "{fault:?}");
        if fault == Fault::Unsigned {
            assert_eq!(answer.json()["tokenUpdated"], true);
        }
    }
}

#[test]
fn another_token_is_named_by_each_answer_of_the_bank() {
    let merchant = Merchant::new();
    for (operation, path, asked, place) in [
        (
            Operation::UpdateTokenState,
            UPDATE,
            json!({ "token": TOKEN, "state": "SUSPENDED" }),
            "/token",
        ),
        (
            Operation::GetToken,
            GET,
            json!({ "token": TOKEN }),
            "/result/0/token",
        ),
        (
            Operation::ListTokens,
            LIST,
            json!({ "customerId": "customer-1" }),
            "/result/0/token",
        ),
    ] {
        merchant.sandbox.answer_next(operation, Fault::OtherCard);
        let wrong = payload(&ask(&merchant, path, &asked));
        let wrong = wrong.pointer(place).unwrap().as_str().unwrap().to_owned();
        assert_eq!((wrong.len(), wrong == TOKEN), (TOKEN.len(), false));
        assert_eq!(merchant.sandbox.bank_token(&wrong), None);
    }
}

#[test]
fn reads_of_processing_can_be_of_another_token_or_not_open() {
    let merchant = Merchant::new();
    let path = format!("/tokens/{NUMBER}");
    let plan = |fault| {
        merchant.sandbox.answer_next(Operation::ReadTokens, fault);
    };
    plan(Fault::OtherCard);
    let wrong = read(&merchant, &path);
    assert_eq!(wrong["cardContractId"], 70001);
    assert_eq!(wrong["tokenNumber"], "5598765432109870");
    plan(Fault::OtherCard);
    let list = read(&merchant, "/cards/70001/tokens");
    let list = list["tokens"].as_array().unwrap();
    assert!(list.iter().all(|token| token["tokenNumber"] != NUMBER));
    plan(Fault::Undecryptable);
    let closed = super::processing::call(&merchant, "GET", &path, "");
    assert_eq!(closed.status, 200);
    assert_eq!(opened(&closed.json()["encryptedData"]), None);
    assert_eq!(read(&merchant, &path)["tokenNumber"], NUMBER);
}

#[test]
fn errors_on_demand_come_in_the_shape_of_who_is_asked() {
    let merchant = Merchant::new();
    for (status, code) in [
        (400, "b_request_is_not_correct"),
        (401, "b_expired_token"),
        (404, "b_service_unavailable"),
        (500, "b_unknown_error"),
        (503, "b_server_is_overloaded"),
    ] {
        let answer = spoilt_update(&merchant, Fault::service_error(status));
        assert_eq!(
            error(answer.status, &payload(&answer)),
            (status, code.to_owned())
        );
        let answer = spoilt_update(&merchant, Fault::gateway_error(status, true));
        assert_eq!(
            error(answer.status, &answer.json()),
            (status, code.to_owned())
        );
    }
    let named = Fault::Error {
        status: 401,
        shape: ErrorShape::Service {
            detail: Some("b_used_token"),
        },
        retry_after: None,
    };
    let answer = spoilt_update(&merchant, named);
    assert_eq!(error(answer.status, &payload(&answer)).1, "b_used_token");
    let plan = |fault| {
        let operation = Operation::SetTokenStatus;
        merchant.sandbox.answer_next(operation, fault);
        command(&merchant, CONTRACT, "SUSPEND", None)
    };
    assert_eq!(plan(Fault::service_error(503)).refusal().1, "UNAVAILABLE");
    let gateway = plan(Fault::gateway_error(429, true));
    assert_eq!(gateway.json()["Errors"]["Error"][0]["Recoverable"], true);
    assert_eq!(state(&merchant), "ACTIVE");
    let status = merchant.sandbox.token_status(NUMBER);
    assert_eq!(status.as_deref(), Some("Active"));
}

#[test]
fn what_is_lost_on_the_way_back_is_done_at_both_sides() {
    let merchant = Merchant::new();
    merchant
        .sandbox
        .answer_next(Operation::UpdateTokenState, Fault::AnswerLost);
    merchant
        .sandbox
        .answer_next(Operation::SetTokenStatus, Fault::AnswerLost);
    let asked = json!({ "token": TOKEN, "state": "DELETED" }).to_string();
    let url = merchant.sandbox.alliance_url() + UPDATE;
    let body = signed(&header(UPDATE), &asked);
    assert!(merchant.send("POST", &url, "", &body).is_err());
    let url = merchant.sandbox.processing_url() + "/cards/70001/tokens";
    let body = encrypted(r#"{"tokenStatus":"SUSPEND"}"#);
    let authorization = merchant.authorization("PUT", &url, &body);
    assert!(merchant.send("PUT", &url, &authorization, &body).is_err());
    assert_eq!(state(&merchant), "DELETED");
    let status = merchant.sandbox.token_status(NUMBER);
    assert_eq!(status.as_deref(), Some("Suspended"));
}

#[test]
fn a_held_update_is_done_and_answered_when_it_is_released() {
    let merchant = Merchant::new();
    merchant.sandbox.hold(Operation::UpdateTokenState);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| update(&merchant, TOKEN, "SUSPENDED"));
        wait_until("the update is done", || state(&merchant) == "SUSPENDED");
        assert_eq!(merchant.sandbox.calls()[0].status, None);
        merchant.sandbox.release();
        let answer = waiting.join().unwrap();
        assert_eq!(payload(&answer)["tokenUpdated"], true);
    });
}

//! Changing the tokens of card contracts and of the bank over HTTP.

use super::processing::TOKEN;
use super::*;

fn call(merchant: &Merchant, method: &str, path: &str, body: &str) -> Answer {
    let url = format!("http://{}/sandbox/{path}", merchant.sandbox.address());
    merchant.send(method, &url, "", body).unwrap()
}

fn post(merchant: &Merchant, path: &str) -> Answer {
    call(merchant, "POST", path, "")
}

#[test]
fn contracts_change_over_http_and_show_no_full_number() {
    let merchant = Merchant::new();
    let suspended = post(&merchant, "contracts/70001/status/05");
    assert_eq!(suspended.status, 200);
    let status = merchant.sandbox.token_status(TOKEN);
    assert_eq!(status.as_deref(), Some("Suspended"));
    let relinked = post(&merchant, "contracts/70001/relink/70002");
    assert_eq!(relinked.status, 200);
    let listed = call(&merchant, "GET", "contracts", "");
    assert_eq!(listed.text, relinked.text);
    assert!(!listed.text.contains(TOKEN) && listed.text.contains("9876"));
    let listed = listed.json();
    let contracts = listed["contracts"].as_array().unwrap().iter();
    let contracts: Vec<_> = contracts
        .map(|contract| {
            let tokens = contract["tokens"].as_array().unwrap().len();
            (contract["cardContractId"].as_str().unwrap(), tokens)
        })
        .collect();
    assert_eq!(contracts, [("70001", 0), ("70002", 2), ("90001", 1)]);
}

#[test]
fn a_contract_that_is_not_there_is_answered_404_and_what_is_no_status_400() {
    let merchant = Merchant::new();
    assert_eq!(post(&merchant, "contracts/1/status/05").status, 404);
    assert_eq!(post(&merchant, "contracts/1/relink/2").status, 404);
    assert_eq!(post(&merchant, "contracts/70001/status/5").status, 400);
    assert_eq!(post(&merchant, "contracts/70001/status/x5").status, 400);
    assert_eq!(post(&merchant, "contracts/70001/paint/05").status, 404);
}

#[test]
fn bank_tokens_are_made_up_or_given_and_take_every_state() {
    let merchant = Merchant::new();
    let made_up = post(&merchant, "bank-tokens");
    assert_eq!(made_up.status, 201);
    let made_up = made_up.json();
    let token = made_up["token"].as_str().unwrap();
    assert_eq!(token.len(), 24);
    assert_eq!(
        merchant.sandbox.bank_token(token).as_deref(),
        Some("ACTIVE")
    );
    let given = r#"{"token":"-one","customerId":"customer-7"}"#;
    let given = call(&merchant, "POST", "bank-tokens", given).json();
    assert_eq!(given["token"], "-one");
    assert_eq!(given["customerId"], "customer-7");
    for state in ["OBSOLETE", "DELETED", "SUSPENDED", "ACTIVE"] {
        let answer = post(&merchant, &format!("bank-tokens/-one/state/{state}"));
        assert_eq!(answer.status, 200);
        assert_eq!(merchant.sandbox.bank_token("-one").as_deref(), Some(state));
    }
    let listed = call(&merchant, "GET", "bank-tokens", "").json();
    let listed = listed["bankTokens"].as_array().unwrap();
    assert!(listed.len() == 5 && listed.contains(&given));
}

#[test]
fn a_bank_token_that_is_not_there_is_answered_404_and_what_is_none_400() {
    let merchant = Merchant::new();
    assert_eq!(post(&merchant, "bank-tokens/none/state/ACTIVE").status, 404);
    let path = format!("bank-tokens/{}/state/FROZEN", super::alliance::TOKEN);
    assert_eq!(post(&merchant, &path).status, 400);
    for body in ["[]", r#"{"token":7}"#, r#"{"token":""}"#, "{"] {
        let answer = call(&merchant, "POST", "bank-tokens", body);
        assert_eq!(answer.status, 400, "{body}");
    }
}

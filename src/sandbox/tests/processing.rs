//! Processing Digital: the tokens of card contracts, commanded and read.

use super::*;
use crate::jose::encrypt;

/// Contract and token of Mastercard's own sandbox.
pub const CONTRACT: &str = "70001";
pub const TOKEN: &str = "5598765432109876";
pub const DEAD_CONTRACT: &str = "90001";

/// A body that only the sandbox can read.
pub fn encrypted(plaintext: &str) -> String {
    let recipient = std::fs::read(keys().join("encryption/sandbox.pem")).unwrap();
    let token = encrypt(plaintext.as_bytes(), &recipient, None, "A256GCM", 16).unwrap();
    serde_json::json!({ "encryptedData": token }).to_string()
}

/// Calls with a right signature.
pub fn call(merchant: &Merchant, method: &str, path: &str, body: &str) -> Answer {
    let url = merchant.sandbox.processing_url() + path;
    let authorization = merchant.authorization(method, &url, body);
    merchant.send(method, &url, &authorization, body).unwrap()
}

pub fn command(merchant: &Merchant, contract: &str, status: &str, token: Option<&str>) -> Answer {
    let command = match token {
        Some(token) => format!(r#"{{"tokenNumber":"{token}","tokenStatus":"{status}"}}"#),
        None => format!(r#"{{"tokenStatus":"{status}"}}"#),
    };
    let path = format!("/cards/{contract}/tokens");
    call(merchant, "PUT", &path, &encrypted(&command))
}

pub fn read(merchant: &Merchant, path: &str) -> Value {
    let answer = call(merchant, "GET", path, "");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1);
    opened(&body["encryptedData"]).unwrap()
}

/// Numbers and statuses of a list.
fn listed(merchant: &Merchant, path: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = read(merchant, path)["tokens"].as_array().unwrap().clone();
    let pairs = list.iter();
    pairs
        .map(|token| (text(&token["tokenNumber"]), text(&token["tokenStatus"])))
        .collect()
}

/// The statuses of all tokens of a contract.
fn statuses(merchant: &Merchant, contract: &str) -> Vec<String> {
    let listed = listed(merchant, &format!("/cards/{contract}/tokens"));
    listed.into_iter().map(|(_, status)| status).collect()
}

#[track_caller]
fn done(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
}

#[track_caller]
fn not_there(answer: &Answer) {
    let word = "TOKEN_NOT_FOUND_OR_DEACTIVATED".to_owned();
    assert_eq!(answer.refusal(), (404, word, String::new()));
}

#[test]
fn one_token_of_70001_is_suspended_resumed_and_deactivated() {
    let merchant = Merchant::new();
    for (word, status) in [
        ("SUSPEND", "Suspended"),
        ("RESUME", "Active"),
        ("SUSPEND", "Suspended"),
        ("DEACTIVATE", "Deactivated"),
    ] {
        done(&command(&merchant, CONTRACT, word, Some(TOKEN)));
        let now = merchant.sandbox.token_status(TOKEN);
        assert_eq!(now.as_deref(), Some(status));
        let shown = read(&merchant, &format!("/tokens/{TOKEN}"));
        assert_eq!(shown["tokenStatus"], status);
        assert!(statuses(&merchant, CONTRACT).contains(&"Active".to_owned()));
    }
}

#[test]
fn without_a_number_all_tokens_of_the_contract_are_meant_and_no_others() {
    let merchant = Merchant::new();
    merchant
        .sandbox
        .add_token("70002", "40000", "5598765432108888");
    done(&command(&merchant, CONTRACT, "SUSPEND", None));
    assert_eq!(statuses(&merchant, CONTRACT), ["Suspended", "Suspended"]);
    assert_eq!(statuses(&merchant, "70002"), ["Active"]);
    done(&command(&merchant, CONTRACT, "DEACTIVATE", Some(TOKEN)));
    done(&command(&merchant, CONTRACT, "RESUME", None));
    let mut left = statuses(&merchant, CONTRACT);
    left.sort_unstable();
    assert_eq!(left, ["Active", "Deactivated"]);
}

#[test]
fn a_repeated_command_is_done_again_and_a_deactivated_token_takes_none() {
    let merchant = Merchant::new();
    for word in ["SUSPEND", "SUSPEND", "RESUME", "RESUME", "DEACTIVATE"] {
        done(&command(&merchant, CONTRACT, word, Some(TOKEN)));
    }
    for word in ["SUSPEND", "RESUME", "DEACTIVATE"] {
        not_there(&command(&merchant, CONTRACT, word, Some(TOKEN)));
    }
    let status = merchant.sandbox.token_status(TOKEN);
    assert_eq!(status.as_deref(), Some("Deactivated"));
}

#[test]
fn the_tokens_of_90001_are_deactivated_and_those_of_others_are_not_found() {
    let merchant = Merchant::new();
    for word in ["SUSPEND", "RESUME", "DEACTIVATE"] {
        not_there(&command(&merchant, DEAD_CONTRACT, word, None));
    }
    assert_eq!(statuses(&merchant, DEAD_CONTRACT), ["Deactivated"]);
    not_there(&command(&merchant, DEAD_CONTRACT, "SUSPEND", Some(TOKEN)));
    not_there(&command(&merchant, "70009", "SUSPEND", None));
    not_there(&call(&merchant, "GET", "/cards/70009/tokens", ""));
    not_there(&call(&merchant, "GET", "/clients/7/tokens", ""));
    not_there(&call(&merchant, "GET", "/tokens/5598765432100000", ""));
    let status = merchant.sandbox.token_status(TOKEN);
    assert_eq!(status.as_deref(), Some("Active"));
}

#[test]
fn every_read_tells_the_same_of_a_token_and_encrypts_it() {
    let merchant = Merchant::new();
    let single = read(&merchant, &format!("/tokens/{TOKEN}"));
    for (member, value) in [
        ("cardContractId", serde_json::json!(70001)),
        ("clientId", serde_json::json!(40000)),
        ("tokenNumber", TOKEN.into()),
        ("tokenStatus", "Active".into()),
        ("tokenExpiryDate", "3112".into()),
    ] {
        assert_eq!(single[member], value, "{member}");
    }
    for path in ["/cards/70001/tokens", "/clients/40000/tokens"] {
        let list = read(&merchant, path);
        let list = list["tokens"].as_array().unwrap();
        assert_eq!(list.len(), 2);
        assert!(list.contains(&single), "{path}");
        let answer = call(&merchant, "GET", path, "");
        assert!(!answer.text.contains(TOKEN) && !answer.text.contains("Active"));
    }
}

#[test]
fn a_list_can_be_narrowed_to_active_or_inactive_tokens() {
    let merchant = Merchant::new();
    merchant.sandbox.set_token_status(TOKEN, "Suspended");
    let numbers = |status: &str| {
        let path = format!("/cards/{CONTRACT}/tokens?status={status}");
        let listed = listed(&merchant, &path).into_iter();
        listed.map(|(number, _)| number).collect::<Vec<_>>()
    };
    assert_eq!(numbers("Inactive"), [TOKEN]);
    assert!(numbers("active").len() == 1 && numbers("ACTIVE") != [TOKEN]);
    let path = format!("/cards/{CONTRACT}/tokens?status=frozen");
    assert_eq!(call(&merchant, "GET", &path, "").status, 400);
}

#[test]
fn status_05_of_a_contract_suspends_its_active_tokens_and_41_and_43_leave_them() {
    let merchant = Merchant::new();
    for code in ["41", "43", "00"] {
        merchant.sandbox.set_contract_status(CONTRACT, code);
        assert_eq!(
            statuses(&merchant, CONTRACT),
            ["Active", "Active"],
            "{code}"
        );
    }
    merchant.sandbox.set_token_status(TOKEN, "Deactivated");
    merchant.sandbox.set_contract_status(CONTRACT, "05");
    let mut now = statuses(&merchant, CONTRACT);
    now.sort_unstable();
    assert_eq!(now, ["Deactivated", "Suspended"]);
}

#[test]
fn relinked_tokens_are_those_of_the_new_contract_and_the_old_one_has_none() {
    let merchant = Merchant::new();
    merchant.sandbox.relink(CONTRACT, "70002");
    assert!(listed(&merchant, "/cards/70001/tokens").is_empty());
    assert_eq!(statuses(&merchant, "70002"), ["Active", "Active"]);
    let shown = read(&merchant, &format!("/tokens/{TOKEN}"));
    assert_eq!(shown["cardContractId"], 70002);
    not_there(&command(&merchant, CONTRACT, "SUSPEND", Some(TOKEN)));
    done(&command(&merchant, "70002", "SUSPEND", Some(TOKEN)));
    assert_eq!(listed(&merchant, "/clients/40000/tokens").len(), 2);
}

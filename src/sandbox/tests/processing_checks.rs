//! Processing Digital: whose commands are believed, what they must be, and what is written down of them.

use super::processing::{CONTRACT, TOKEN, call, command, encrypted};
use super::*;
use crate::jose::encrypt;

const PATH: &str = "/cards/70001/tokens";
const COMMAND: &str = r#"{"tokenStatus":"SUSPEND"}"#;

/// The reason code of an error in the gateway's shape.
#[track_caller]
fn refused(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text);
    let code = answer.json()["Errors"]["Error"][0]["ReasonCode"].clone();
    code.as_str().unwrap().to_owned()
}

#[track_caller]
fn is_untouched(merchant: &Merchant) {
    let status = merchant.sandbox.token_status(TOKEN);
    assert_eq!(status.as_deref(), Some("Active"));
}

#[test]
fn the_signature_is_checked_over_the_body_as_it_was_sent() {
    let merchant = Merchant::new();
    let url = merchant.sandbox.processing_url() + PATH;
    let body = encrypted(COMMAND);
    let unsigned = merchant.send("PUT", &url, "", &body).unwrap();
    assert_eq!(refused(&unsigned, 401), "INVALID_OAUTH_SBS");
    let over_the_plaintext = merchant.authorization("PUT", &url, COMMAND);
    let answer = merchant.send("PUT", &url, &over_the_plaintext, &body);
    assert_eq!(refused(&answer.unwrap(), 401), "INVALID_BODY_HASH");
    let other = merchant.sandbox.processing_url() + "/cards/70002/tokens";
    let of_another_card = merchant.authorization("PUT", &other, &body);
    let answer = merchant.send("PUT", &url, &of_another_card, &body);
    assert_eq!(refused(&answer.unwrap(), 401), "AUTHENTICATION_FAILED");
    let url = format!("{}/tokens/{TOKEN}", merchant.sandbox.processing_url());
    let unsigned = merchant.send("GET", &url, "", "").unwrap();
    assert_eq!(refused(&unsigned, 401), "INVALID_OAUTH_SBS");
    is_untouched(&merchant);
}

#[test]
fn a_body_that_is_not_encrypted_to_this_side_is_refused() {
    let merchant = Merchant::new();
    let own = std::fs::read(keys().join("payload/demo-payload-2026.pem")).unwrap();
    let to_ourselves = encrypt(COMMAND.as_bytes(), &own, None, "A256GCM", 12).unwrap();
    let right = encrypted(COMMAND);
    let wrap = |token: &str| serde_json::json!({ "encryptedData": token }).to_string();
    let token = json::parse(right.as_bytes()).unwrap()["encryptedData"].clone();
    let token = token.as_str().unwrap();
    let (rest, tag) = token.rsplit_once('.').unwrap();
    for body in [
        wrap(&to_ourselves),
        wrap(&format!("{rest}.{}", "A".repeat(22))),
        wrap(&format!("{rest}.{}", &tag[..4])),
        wrap(rest),
        wrap(""),
    ] {
        let answer = call(&merchant, "PUT", PATH, &body);
        assert_eq!(refused(&answer, 400), "DECRYPTION_FAILED", "{body}");
    }
    for body in [
        COMMAND.to_owned(),
        "[]".to_owned(),
        String::new(),
        r#"{"encryptedData":7}"#.to_owned(),
        right.replace('}', r#","reason":"x"}"#),
    ] {
        let answer = call(&merchant, "PUT", PATH, &body);
        assert_eq!(refused(&answer, 400), "INVALID_INPUT_VALUE", "{body}");
    }
    is_untouched(&merchant);
    assert_eq!(call(&merchant, "PUT", PATH, &right).status, 204);
}

#[test]
fn a_command_with_anything_but_its_two_members_is_refused() {
    let merchant = Merchant::new();
    for plaintext in [
        r#"{}"#,
        r#"{"tokenStatus":"suspend"}"#,
        r#"{"tokenStatus":"Suspended"}"#,
        r#"{"tokenStatus":null}"#,
        r#"{"tokenNumber":"5598765432109876"}"#,
        r#"{"tokenStatus":"SUSPEND","tokenNumber":5598765432109876}"#,
        r#"{"tokenStatus":"SUSPEND","tokenNumber":""}"#,
        r#"{"tokenStatus":"SUSPEND","tokenNumber":null}"#,
        r#"{"tokenStatus":"SUSPEND","reason":"LOST"}"#,
        r#"{"tokenStatus":"SUSPEND","tokenStatus":"SUSPEND"}"#,
        r#"["SUSPEND"]"#,
        "SUSPEND",
    ] {
        let answer = call(&merchant, "PUT", PATH, &encrypted(plaintext));
        assert_eq!(refused(&answer, 400), "INVALID_INPUT_VALUE", "{plaintext}");
    }
    is_untouched(&merchant);
}

#[test]
fn each_enc_that_the_merchant_may_use_is_opened() {
    let merchant = Merchant::new();
    let recipient = std::fs::read(keys().join("encryption/sandbox.pem")).unwrap();
    for (enc, iv) in [("A128GCM", 12), ("A192GCM", 12), ("A256GCM", 12)] {
        let token = encrypt(COMMAND.as_bytes(), &recipient, None, enc, iv).unwrap();
        let body = serde_json::json!({ "encryptedData": token }).to_string();
        assert_eq!(call(&merchant, "PUT", PATH, &body).status, 204, "{enc}");
    }
}

#[test]
fn calls_are_written_down_under_their_contract_and_without_a_full_number() {
    let merchant = Merchant::new();
    command(&merchant, CONTRACT, "SUSPEND", None);
    call(&merchant, "GET", PATH, "");
    call(&merchant, "GET", "/clients/40000/tokens", "");
    call(&merchant, "GET", &format!("/tokens/{TOKEN}"), "");
    let encoded = TOKEN.replace('5', "%35");
    call(
        &merchant,
        "GET",
        &format!("/tokens/{encoded}?n={TOKEN}"),
        "",
    );
    let calls = merchant.sandbox.calls();
    let of_contract = Some(CONTRACT.to_owned());
    let seen: Vec<_> = calls
        .iter()
        .map(|call| {
            (
                call.operation,
                call.card_id.clone(),
                call.path_and_query.as_str(),
            )
        })
        .collect();
    let read = Operation::ReadTokens;
    let base = "/global-processing/digital";
    let shown = format!("{base}/tokens/9876");
    let paths =
        ["/cards/70001/tokens", "/clients/40000/tokens"].map(|path| format!("{base}{path}"));
    assert_eq!(
        seen,
        [
            (
                Operation::SetTokenStatus,
                of_contract.clone(),
                paths[0].as_str()
            ),
            (read, of_contract, &paths[0]),
            (read, None, &paths[1]),
            (read, None, &shown),
            (read, None, &shown),
        ]
    );
    assert_eq!(merchant.sandbox.count(read, Some(CONTRACT)), 1);
}

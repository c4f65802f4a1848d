//! The bank: whose requests are believed.

use serde_json::json;

use super::alliance::{
    GET, KID, TOKEN, UPDATE, ask, error, header, payload, post, signed, signed_by,
};
use super::*;

fn wanted() -> String {
    json!({ "token": TOKEN, "state": "SUSPENDED" }).to_string()
}

/// Sends this to the update; says whether it is believed, and else which code it is refused with.
#[track_caller]
fn refused(merchant: &Merchant, body: &str) -> Option<String> {
    merchant.sandbox.set_bank_token(TOKEN, "ACTIVE");
    let answer = post(merchant, UPDATE, body);
    let state = merchant.sandbox.bank_token(TOKEN).unwrap();
    if answer.status == 200 {
        assert_eq!(payload(&answer)["tokenUpdated"], true);
        assert_eq!(state, "SUSPENDED");
        return None;
    }
    assert_eq!(state, "ACTIVE");
    let (status, code) = error(answer.status, &payload(&answer));
    assert_eq!(status, 400);
    Some(code)
}

/// The right header, but for one member.
fn with(name: &str, value: Value) -> Value {
    let mut header = header(UPDATE);
    header[name] = value;
    header
}

const INCORRECT: Option<&str> = Some("b_request_is_not_correct");
const UNREADABLE: Option<&str> = Some("b_error_parse_json");

#[test]
fn each_of_the_four_header_members_must_be_there_and_right() {
    let merchant = Merchant::new();
    for name in ["alg", "kid", "ts", "targetUrl"] {
        let mut header = header(UPDATE);
        header.as_object_mut().unwrap().remove(name);
        let code = refused(&merchant, &signed(&header, &wanted()));
        assert_eq!(code.as_deref(), INCORRECT, "{name}");
    }
    for (name, value) in [
        ("alg", json!("RS256")),
        ("alg", json!("none")),
        ("alg", json!("ES384")),
        ("kid", json!("60b2f8d4-6c1b-4c53-9b4f-0a3b6d3f1c77")),
        ("kid", json!(KID.to_uppercase())),
        ("targetUrl", json!(GET)),
        ("targetUrl", json!(format!("https://bank.example{UPDATE}"))),
        ("targetUrl", json!(format!("{UPDATE}/"))),
        ("targetUrl", json!(["/ecom/jws/token/state/update_v1"])),
    ] {
        let header = with(name, value);
        let code = refused(&merchant, &signed(&header, &wanted()));
        assert_eq!(code.as_deref(), INCORRECT, "{header}");
    }
    let right = signed(&header(UPDATE), &wanted());
    assert_eq!(refused(&merchant, &right), None);
}

#[test]
fn the_time_is_within_a_minute_in_either_unit_and_type() {
    let merchant = Merchant::new();
    let seconds = NOW / 1000;
    for ts in [
        json!(NOW),
        json!(NOW - 60_000),
        json!(NOW + 60_000),
        json!(seconds),
        json!(seconds - 60),
        json!(NOW.to_string()),
        json!(seconds.to_string()),
    ] {
        let code = refused(&merchant, &signed(&with("ts", ts.clone()), &wanted()));
        assert_eq!(code, None, "{ts}");
    }
    for ts in [
        json!(NOW - 60_001),
        json!(NOW + 60_001),
        json!(seconds - 61),
        json!(seconds + 61),
        json!((seconds + 61).to_string()),
        json!(0),
        json!(i64::MIN),
        json!(NOW as f64 + 0.5),
        json!(format!("+{NOW}")),
        json!(""),
        json!("now"),
        json!(null),
        json!(true),
    ] {
        let code = refused(&merchant, &signed(&with("ts", ts.clone()), &wanted()));
        assert_eq!(code.as_deref(), INCORRECT, "{ts}");
    }
}

#[test]
fn the_signature_must_be_the_merchants_and_over_what_was_sent() {
    let merchant = Merchant::new();
    let answers_key = "../src/sandbox/keys/alliance-answers.pem";
    let by_another = signed_by(answers_key, &header(UPDATE), &wanted());
    let right = signed(&header(UPDATE), &wanted());
    let of_another = signed(&header(UPDATE), "{}");
    let (signed_part, _) = right.rsplit_once('.').unwrap();
    let (_, signature) = of_another.rsplit_once('.').unwrap();
    for body in [
        by_another,
        format!("{signed_part}.{signature}"),
        format!("{signed_part}."),
        signed_part.to_owned(),
        wanted().replace(['{', '}'], ""),
    ] {
        let code = refused(&merchant, &body);
        assert_eq!(code.as_deref(), INCORRECT, "{body}");
    }
}

#[test]
fn the_jws_comes_bare_or_as_the_one_member_of_an_object() {
    let merchant = Merchant::new();
    let right = signed(&header(UPDATE), &wanted());
    for body in [
        right.clone(),
        format!(" {right}\n"),
        json!({ "jws": right }).to_string(),
        json!({ "any": right }).to_string(),
    ] {
        assert_eq!(refused(&merchant, &body), None, "{body}");
    }
    for body in [
        String::new(),
        "{}".to_owned(),
        "{".to_owned(),
        json!({ "jws": 7 }).to_string(),
        json!({ "jws": right, "more": right }).to_string(),
        signed(&header(UPDATE), "[]"),
        signed(&header(UPDATE), "no json"),
    ] {
        let code = refused(&merchant, &body);
        assert_eq!(code.as_deref(), UNREADABLE, "{body}");
    }
}

#[test]
fn another_key_and_kid_of_the_merchant_may_be_named_and_without_a_key_nobody_is_believed() {
    let right = |kid: &str| signed(&with("kid", kid.into()), &wanted());
    let renamed = Merchant::with(|settings| settings.alliance_kid = "other".to_owned());
    assert_eq!(refused(&renamed, &right("other")), None);
    assert_eq!(refused(&renamed, &right(KID)).as_deref(), INCORRECT);
    let without = Merchant::with(|settings| {
        settings.alliance_signing_key = "signing/nobody.pem".into();
    });
    assert_eq!(refused(&without, &right(KID)).as_deref(), INCORRECT);
    // With an RSA key it is another algorithm that fits.
    let with_rsa = Merchant::with(|settings| {
        settings.alliance_signing_key = "signing/demo-signing.pem".into();
    });
    let pem = std::fs::read(keys().join("signing/demo-signing.pem")).unwrap();
    let signer = crate::jose::JwsSigner::from_pem(&pem, None).unwrap();
    let header = header(UPDATE).as_object().unwrap().clone();
    let jws = signer.sign(header, wanted().as_bytes()).unwrap();
    assert_eq!(refused(&with_rsa, &jws), None);
    assert_eq!(refused(&with_rsa, &right(KID)).as_deref(), INCORRECT);
}

#[test]
fn a_file_that_is_no_key_for_the_bank_is_named() {
    let settings = SandboxSettings {
        alliance_signing_key: "README.md".into(),
        ..SandboxSettings::new(keys())
    };
    let message = Sandbox::start(settings).err().unwrap().to_string();
    assert!(
        message.contains("README.md: is not an unlocked private key"),
        "{message}"
    );
}

#[test]
fn only_post_and_the_paths_that_there_are_are_answered_by_the_bank() {
    let merchant = Merchant::new();
    for path in [
        "/ecom/jws/token/create_v1",
        "/ecom/jws/token/state/update_v2",
    ] {
        let body = signed(&header(path), &wanted());
        assert_eq!(post(&merchant, path, &body).status, 404, "{path}");
    }
    let url = merchant.sandbox.alliance_url() + GET;
    assert_eq!(merchant.send("GET", &url, "", "").unwrap().status, 404);
    assert!(merchant.sandbox.calls().is_empty());
    ask(&merchant, GET, &json!({ "token": TOKEN }));
    let call = merchant.sandbox.calls().pop().unwrap();
    assert_eq!((call.operation, call.card_id), (Operation::GetToken, None));
}

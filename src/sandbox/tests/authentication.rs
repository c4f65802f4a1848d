//! Whose requests are believed.

use openssl::pkey::PKey;
use openssl::rsa::Rsa;

use super::*;
use crate::mastercard::oauth::percent_encode;

const PATH: &str = "/transaction/credentials";

/// The reason code of a refusal by the gateway.
#[track_caller]
fn refused(answer: &Answer) -> String {
    assert_eq!(answer.status, 401, "{}", answer.text);
    let body = answer.json();
    let error = &body["Errors"]["Error"][0];
    assert_eq!(error["Source"], "Gateway");
    assert_eq!(error["Recoverable"], false);
    error["ReasonCode"].as_str().unwrap().to_owned()
}

#[test]
fn a_rightly_signed_request_is_answered_and_every_answer_says_it_is_not_mastercards() {
    let merchant = Merchant::new();
    for answer in [
        merchant.checkout(),
        merchant.get_card(""),
        merchant.get_card("&tokenRequested=true"),
        merchant.delete_card(),
    ] {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mark = answer.sandbox.as_deref();
        assert_eq!(mark, Some("tokenkeep sandbox, not Mastercard"));
    }
    let refused = merchant.get_card("");
    assert_eq!((refused.status, refused.sandbox.is_some()), (404, true));
}

#[test]
fn an_unsigned_request_is_refused_and_nothing_is_done() {
    let merchant = Merchant::new();
    let path = format!("/cards/{CARD}?{}", ids());
    for header in [
        "",
        "Bearer abc",
        "OAuth",
        "OAuth oauth_nonce=\"a\",oauth_nonce=\"a\"",
    ] {
        let answer = merchant.send("DELETE", &merchant.url(&path), header, "");
        assert_eq!(refused(&answer.unwrap()), "INVALID_OAUTH_SBS", "{header}");
    }
    assert!(merchant.sandbox.card(CARD).is_some());
}

#[test]
fn a_parameter_that_is_missing_or_of_another_method_is_refused() {
    let merchant = Merchant::new();
    let url = merchant.url(PATH);
    let body = checkout_body().to_string();
    let right = merchant.authorization("POST", &url, &body);
    for name in [
        "oauth_consumer_key",
        "oauth_nonce",
        "oauth_timestamp",
        "oauth_signature_method",
        "oauth_signature",
        "oauth_version",
        "oauth_body_hash",
    ] {
        let members = right.trim_start_matches("OAuth ").split(',');
        let others = members.filter(|member| !member.starts_with(&format!("{name}=")));
        let header = format!("OAuth {}", others.collect::<Vec<_>>().join(","));
        assert!(header.len() < right.len());
        let answer = merchant.send("POST", &url, &header, &body).unwrap();
        assert_eq!(refused(&answer), "INVALID_OAUTH_SBS", "{name}");
    }
    let weaker = right.replace("RSA-SHA256", "RSA-SHA1");
    let answer = merchant.send("POST", &url, &weaker, &body).unwrap();
    assert_eq!(refused(&answer), "INVALID_OAUTH_SBS");
}

#[test]
fn a_body_that_is_not_the_signed_one_is_refused() {
    let merchant = Merchant::new();
    let url = merchant.url(PATH);
    let body = checkout_body().to_string();
    let header = merchant.authorization("POST", &url, &body);
    let other = body.replace("12.5", "12.6");
    let answer = merchant.send("POST", &url, &header, &other).unwrap();
    assert_eq!(refused(&answer), "INVALID_BODY_HASH");
    // With the hash of the other body in its place the signature does not fit any more.
    let hash = crate::mastercard::oauth::body_hash;
    let forged = header.replace(&hash(body.as_bytes()), &hash(other.as_bytes()));
    assert_ne!(forged, header);
    let answer = merchant.send("POST", &url, &forged, &other).unwrap();
    assert_eq!(refused(&answer), "AUTHENTICATION_FAILED");
}

#[test]
fn method_path_query_and_host_are_part_of_what_is_signed() {
    let merchant = Merchant::new();
    let path = format!("/cards/{CARD}?{}", ids());
    let url = merchant.url(&path);
    let by_name = url.replace("127.0.0.1", "localhost");
    for (method, signed) in [
        ("DELETE", url.clone()),
        ("GET", merchant.url(&format!("/cards/other?{}", ids()))),
        ("GET", format!("{url}&reason=OTHER")),
        ("GET", url.replace("%23", "#")),
        ("GET", by_name),
    ] {
        let header = merchant.authorization(method, &signed, "");
        let answer = merchant.send("GET", &url, &header, "").unwrap();
        assert_eq!(
            refused(&answer),
            "AUTHENTICATION_FAILED",
            "{method} {signed}"
        );
    }
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    let merchant = Merchant::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.pem");
    let other = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    std::fs::write(&file, other.private_key_to_pem_pkcs8().unwrap()).unwrap();
    let key = SigningKey::load(folder.path(), &file, "").unwrap();
    let signer = Signer::new("client!key", key, BaseStringForm::Mastercard);
    let url = merchant.url(&format!("/cards/{CARD}?{}", ids()));
    let header = signer
        .authorization("GET", &url, b"", "abc", NOW / 1000)
        .unwrap();
    let answer = merchant.send("GET", &url, &header, "").unwrap();
    assert_eq!(refused(&answer), "AUTHENTICATION_FAILED");
    let empty = format!("oauth_signature=\"{}\"", percent_encode("AAAA"));
    let cut = header.split("oauth_signature=").next().unwrap().to_owned() + &empty;
    let end = header.split("oauth_signature=").nth(1).unwrap();
    let end = end
        .split_once(',')
        .map_or(String::new(), |(_, rest)| format!(",{rest}"));
    let answer = merchant.send("GET", &url, &(cut + &end), "").unwrap();
    assert_eq!(refused(&answer), "AUTHENTICATION_FAILED");
}

#[test]
fn a_timestamp_more_than_five_minutes_off_is_refused() {
    let merchant = Merchant::new();
    let url = merchant.url(&format!("/cards/{CARD}?{}", ids()));
    let at = |seconds: i64, nonce: &str| {
        let signed = merchant
            .signer
            .authorization("GET", &url, b"", nonce, NOW / 1000 + seconds);
        merchant.send("GET", &url, &signed.unwrap(), "").unwrap()
    };
    for (seconds, nonce) in [
        (-301, "a"),
        (301, "b"),
        (-86_400, "c"),
        (i64::MAX / 2000, "d"),
    ] {
        assert_eq!(
            refused(&at(seconds, nonce)),
            "INVALID_TIMESTAMP",
            "{seconds}"
        );
    }
    for (seconds, nonce) in [(-300, "e"), (300, "f"), (0, "g")] {
        assert_eq!(at(seconds, nonce).status, 200, "{seconds}");
    }
}

#[test]
fn a_nonce_counts_once_and_a_refused_request_does_not_use_it_up() {
    let merchant = Merchant::new();
    let url = merchant.url(&format!("/cards/{CARD}?{}", ids()));
    let header = merchant.authorization("GET", &url, "");
    let other_url = format!("{url}&reason=OTHER");
    let forged = merchant.send("GET", &other_url, &header, "").unwrap();
    assert_eq!(refused(&forged), "AUTHENTICATION_FAILED");
    assert_eq!(merchant.send("GET", &url, &header, "").unwrap().status, 200);
    let replayed = merchant.send("GET", &url, &header, "").unwrap();
    assert_eq!(refused(&replayed), "INVALID_NONCE");
    // Just before its timestamp is refused for its age, the nonce is still known.
    merchant.clock.fetch_add(299_000, Ordering::SeqCst);
    let replayed = merchant.send("GET", &url, &header, "").unwrap();
    assert_eq!(refused(&replayed), "INVALID_NONCE");
    merchant.clock.fetch_add(2_000, Ordering::SeqCst);
    let replayed = merchant.send("GET", &url, &header, "").unwrap();
    assert_eq!(refused(&replayed), "INVALID_TIMESTAMP");
}

#[test]
fn as_many_nonces_are_remembered_as_can_be_used_again_and_no_more_than_a_limit() {
    let mut nonces = super::super::authentication::Nonces::default();
    assert!(nonces.is_new("first", NOW));
    assert!(!nonces.is_new("first", NOW + 600_000));
    assert!(nonces.is_new("first", NOW + 600_001));
    for number in 0..100_010 {
        assert!(nonces.is_new(&number.to_string(), NOW + 600_001));
    }
    assert!(!nonces.is_new("100009", NOW + 600_001));
    assert!(!nonces.is_new("11", NOW + 600_001));
    // Further back than the limit nothing is remembered.
    assert!(nonces.is_new("0", NOW + 600_001));
}

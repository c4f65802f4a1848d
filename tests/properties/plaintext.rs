//! Decrypted payloads.

use proptest::prelude::*;

use crate::checks::plaintext;
use crate::generated::{NUMBER, cases, input};

fn shapes() -> Vec<Vec<u8>> {
    let flat = format!(
        r#"{{"paymentToken":"{NUMBER}","tokenExpirationMonth":"12","tokenExpirationYear":"2031"}}"#
    );
    let nested = format!(r#"{{"paymentToken":{flat}}}"#);
    let list = format!(r#"[{{"maskedCard":{{"srcDigitalCardId":"c"}},"paymentData":{flat}}}]"#);
    let wrapped = format!(r#"{{"digitalCardUpdateNotifications":{list}}}"#);
    [flat, nested, list, wrapped]
        .map(String::into_bytes)
        .to_vec()
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_plaintext_gives_a_whole_number_and_expiry_or_nothing(bytes in input(shapes())) {
        plaintext::check(&bytes);
    }
}

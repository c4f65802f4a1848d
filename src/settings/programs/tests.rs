//! The settings of a program: their defaults, what is refused, and what must not run in production.

use std::time::Duration;

use super::{BaseStringForm, DynamicDataType, ProgramFault, ProgramKind, ProgramSettings};

const LISTED: &str = include_str!("../program.toml");

fn program(more: &str) -> Result<ProgramSettings, String> {
    let text = format!("kind = \"mastercard-checkout\"\n{more}");
    toml::from_str(&text).map_err(|error| error.message().to_owned())
}

#[test]
fn the_defaults_are_those_that_are_listed() {
    let listed: ProgramSettings = toml::from_str(LISTED).unwrap();
    let defaults = program("").unwrap();
    assert_eq!(format!("{listed:?}"), format!("{defaults:?}"));
    assert_eq!(defaults.kind, ProgramKind::MastercardCheckout);
    assert_eq!(
        defaults.base_url,
        "https://sandbox.api.mastercard.com/src/api/digital/payments"
    );
    assert_eq!(
        defaults.dynamic_data_type.word(),
        "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM"
    );
    assert_eq!(defaults.oauth_base_string, BaseStringForm::Mastercard);
    assert_eq!((defaults.rate(), defaults.concurrency()), (50, 16));
    assert_eq!(defaults.timeout(), Duration::from_secs(30));
}

#[test]
fn every_setting_is_listed_and_explained() {
    let listed: toml::Table = LISTED.parse().unwrap();
    let unknown = program("no_such_setting = 1").unwrap_err();
    // The refusal names all settings there are.
    let known: Vec<_> = unknown
        .split('`')
        .skip(3)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    assert_eq!(known.len(), listed.len(), "{unknown}");
    for name in known {
        assert!(listed.contains_key(&name), "{name} is not listed");
        let explained = crate::settings::DEFAULTS.contains(&format!("# {name} = "));
        assert!(explained, "{name} is not explained");
    }
}

#[test]
fn every_word_of_a_choice_is_read_as_mastercard_writes_it() {
    for word in [
        "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
        "CARD_APPLICATION_CRYPTOGRAM_LONG_FORM",
        "CARDHOLDER_AUTHENTICATION_CRYPTOGRAM",
        "DYNAMIC_CARD_SECURITY_CODE",
    ] {
        let read = program(&format!("dynamic_data_type = \"{word}\"")).unwrap();
        assert_eq!(read.dynamic_data_type.word(), word);
    }
    let rfc = program("oauth_base_string = \"rfc5849\"").unwrap();
    assert_eq!(rfc.oauth_base_string, BaseStringForm::Rfc5849);
}

#[test]
fn the_cards_own_number_cannot_be_asked_for() {
    assert!(program("dynamic_data_type = \"NONE\"").is_err());
    assert_eq!(
        DynamicDataType::default().word(),
        "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM"
    );
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    for (name, most) in [("rate", 1000), ("concurrency", 256), ("timeout", 30)] {
        for number in [0, most + 1] {
            let told = program(&format!("{name} = {number}")).unwrap_err();
            assert_eq!(told, format!("must be from 1 to {most}"), "{name}");
        }
        assert!(program(&format!("{name} = -1")).is_err());
        assert!(program(&format!("{name} = 1")).is_ok());
        assert!(program(&format!("{name} = {most}")).is_ok());
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for url in [
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https:///path",
        "https://:443",
        "https://example.com:https",
        "https://example.com:65536",
        "https://[::1",
        "https://[::1]x",
        "https://user:password@example.com",
        "https://example.com/?a=b",
        "https://example.com/#a",
        "https://exämple.com",
        "https://example.com/a b",
        "HTTPS://example.com",
    ] {
        assert!(program(&format!("base_url = \"{url}\"")).is_err(), "{url}");
        let or_none = program(&format!("verification_url = \"{url}\"")).is_err();
        assert_eq!(or_none, !url.is_empty(), "{url}");
    }
    let ends_in_slash = program("base_url = \"https://example.com/src/\"").unwrap();
    assert_eq!(ends_in_slash.base_url, "https://example.com/src");
}

#[test]
fn plain_http_is_for_this_machine_only_and_never_for_production() {
    let local = [
        "http://127.0.0.1:9000/src",
        "http://localhost",
        "http://localhost:1/x",
        "http://[::1]:9000",
        "http://127.8.8.8",
    ];
    let away = [
        "http://example.com",
        "http://10.0.0.1:80/src",
        "http://[2001:db8::1]:80",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0",
    ];
    for name in ["base_url", "verification_url"] {
        let check = |url: &str, production| {
            program(&format!("{name} = \"{url}\""))
                .unwrap()
                .check(production)
        };
        for url in local {
            assert_eq!(check(url, false), Ok(()), "{url}");
        }
        for url in away {
            assert_eq!(
                check(url, false),
                Err(ProgramFault::PlainHttp(name)),
                "{url}"
            );
        }
        for url in local.into_iter().chain(away) {
            let refused = Err(ProgramFault::PlainHttpInProduction(name));
            assert_eq!(check(url, true), refused, "{url}");
        }
        assert_eq!(check("https://example.com/src", true), Ok(()));
    }
    assert_eq!(program("").unwrap().check(true), Ok(()));
}

//! The settings of a program: their defaults, what is refused, and what must not run in production.

mod addresses;

use std::time::Duration;

use rstest::rstest;

use super::{
    BaseStringForm, CheckoutSettings, DynamicDataType, KindSettings, ProgramKind, ProgramSettings,
};
use crate::settings::DEFAULTS;

fn program_of(kind: &str, more: &str) -> Result<ProgramSettings, String> {
    let text = format!("kind = \"{kind}\"\n{more}");
    toml::from_str(&text).map_err(|error| error.message().to_owned())
}

fn program(more: &str) -> Result<ProgramSettings, String> {
    program_of("mastercard-checkout", more)
}

fn checkout(more: &str) -> CheckoutSettings {
    program(more).unwrap().checkout().unwrap().clone()
}

#[rstest]
#[case("mastercard-checkout", ProgramKind::MastercardCheckout)]
#[case("mastercard-processing", ProgramKind::MastercardProcessing)]
#[case("alliance", ProgramKind::Alliance)]
fn the_defaults_of_a_kind_are_those_that_are_listed(#[case] name: &str, #[case] kind: ProgramKind) {
    let listed: ProgramSettings = toml::from_str(kind.template()).unwrap();
    let defaults = program_of(name, "").unwrap();
    assert_eq!(format!("{listed:?}"), format!("{defaults:?}"));
    let connection = &defaults.connection;
    assert_eq!(connection.base_url, kind.base_url());
    assert_eq!((connection.rate(), connection.concurrency()), (50, 16));
    assert_eq!(connection.timeout(), Duration::from_secs(30));
    let read = match defaults.kind {
        KindSettings::MastercardCheckout(_) => ProgramKind::MastercardCheckout,
        KindSettings::MastercardProcessing(_) => ProgramKind::MastercardProcessing,
        KindSettings::Alliance(_) => ProgramKind::Alliance,
    };
    assert_eq!(read, kind);
}

#[rstest]
#[case("mastercard-checkout", ProgramKind::MastercardCheckout)]
#[case("mastercard-processing", ProgramKind::MastercardProcessing)]
#[case("alliance", ProgramKind::Alliance)]
fn every_setting_of_a_kind_is_listed_and_explained(#[case] name: &str, #[case] kind: ProgramKind) {
    let listed: toml::Table = kind.template().parse().unwrap();
    let unknown = program_of(name, "no_such_setting = 1").unwrap_err();
    // The refusal names all settings that only this kind has.
    let own = unknown.split('`').skip(3).step_by(2);
    let common = [
        "kind",
        "base_url",
        "allow_private_addresses",
        "rate",
        "concurrency",
        "timeout",
    ];
    let known: Vec<_> = own.chain(common).map(str::to_owned).collect();
    assert_eq!(known.len(), listed.len(), "{unknown}");
    let mut sections = DEFAULTS.split("# [programs.").skip(1);
    let explained = sections.find(|text| text.contains(&format!("# kind = \"{name}\"")));
    for setting in known {
        assert!(listed.contains_key(&setting), "{setting} is not listed");
        let is_explained = explained.unwrap().contains(&format!("# {setting} = "));
        assert!(is_explained, "{setting} is not explained");
    }
}

#[test]
fn a_setting_of_another_kind_is_refused() {
    for (kind, setting) in [
        ("mastercard-checkout", "merchant_id = \"1\""),
        ("mastercard-checkout", "encrypted_field = \"x\""),
        ("mastercard-processing", "src_client_id = \"1\""),
        ("mastercard-processing", "ts_unit = \"seconds\""),
        ("alliance", "consumer_key = \"1\""),
        ("alliance", "service_id = \"1\""),
    ] {
        let told = program_of(kind, setting).unwrap_err();
        assert!(told.starts_with("unknown field"), "{kind}: {told}");
    }
    assert!(
        program_of("visa", "")
            .unwrap_err()
            .contains("unknown variant")
    );
    let without: Result<ProgramSettings, _> = toml::from_str("rate = 5");
    assert!(
        without
            .unwrap_err()
            .message()
            .contains("missing field `kind`")
    );
}

#[test]
fn an_address_may_be_missing_only_where_the_kind_has_none() {
    let none = "base_url = \"\"";
    assert!(program_of("mastercard-checkout", none).is_err());
    assert!(program_of("mastercard-processing", none).is_err());
    assert_eq!(
        program_of("alliance", none).unwrap().connection.base_url,
        ""
    );
}

#[rstest]
#[case("authorization")]
#[case("Authorization")]
#[case("CONTENT-TYPE")]
#[case("content-length")]
#[case("host")]
#[case("Correlation-ID")]
#[case("transfer-encoding")]
#[case("x y")]
#[case("")]
fn a_header_that_the_client_writes_cannot_be_added(#[case] name: &str) {
    let header = |name: &str, value: &str| {
        let more = format!("extra_headers = {{ \"{name}\" = \"{value}\" }}");
        program_of("mastercard-processing", &more)
    };
    assert!(header(name, "1").is_err());
    assert!(header("X-MC-Bank-Code", "a\\r\\nb").is_err());
    let shown = format!("{:?}", header("X-MC-Bank-Code", "hunter2").unwrap());
    assert!(shown.contains("X-MC-Bank-Code") && !shown.contains("hunter2"));
}

#[rstest]
#[case("alliance", "signature_alg = \"ES384\"", true)]
#[case("alliance", "signature_alg = \"HS256\"", false)]
#[case("alliance", "signature_alg = \"none\"", false)]
#[case("alliance", "method = \"PUT\"", true)]
#[case("alliance", "method = \"GET\"", false)]
#[case("alliance", "ts_unit = \"seconds\"", true)]
#[case("alliance", "ts_type = \"date\"", false)]
#[case("alliance", "status_words = { Blocked = \"SUSPENDED\" }", true)]
#[case("alliance", "status_words = { Blocked = \"BLOCKED\" }", false)]
#[case("mastercard-processing", "encryption_enc = \"A128GCM\"", true)]
#[case("mastercard-processing", "encryption_enc = \"A128CBC-HS256\"", false)]
#[case("mastercard-processing", "encrypted_field = \"\"", false)]
#[case("mastercard-processing", "tokens_field = \"\"", false)]
#[case("mastercard-processing", "content_type = \"\"", false)]
#[case("mastercard-processing", "not_found_statuses = [400, 404]", true)]
#[case("mastercard-processing", "not_found_statuses = [-1]", false)]
fn a_value_that_the_other_side_does_not_know_is_refused(
    #[case] kind: &str,
    #[case] setting: &str,
    #[case] is_known: bool,
) {
    assert_eq!(program_of(kind, setting).is_ok(), is_known);
}

#[test]
fn every_word_of_a_choice_is_read_as_mastercard_writes_it() {
    for word in [
        "CARD_APPLICATION_CRYPTOGRAM_SHORT_FORM",
        "CARD_APPLICATION_CRYPTOGRAM_LONG_FORM",
        "CARDHOLDER_AUTHENTICATION_CRYPTOGRAM",
        "DYNAMIC_CARD_SECURITY_CODE",
    ] {
        let read = checkout(&format!("dynamic_data_type = \"{word}\""));
        assert_eq!(read.dynamic_data_type.word(), word);
    }
    assert_eq!(checkout("").oauth_base_string, BaseStringForm::Mastercard);
    let rfc = checkout("oauth_base_string = \"rfc5849\"");
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

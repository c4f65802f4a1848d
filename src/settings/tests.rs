//! How the layers of settings go over one another, and how mistakes in them are told.

use super::{KindSettings, Overrides, Role, Settings, SettingsError};
use crate::domain::{Policy, TokenStatus, WireForm};
use crate::jose::OpenPolicy;

fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let variables = variables
        .iter()
        .map(|(n, v)| (n.to_string(), v.to_string()));
    Settings::load(&Overrides::default(), variables)
}

#[test]
fn the_defaults_of_the_rooms_are_those_of_the_file() {
    let settings = Settings::defaults().unwrap();
    assert_eq!(settings.notification, WireForm::default());
    assert_eq!(settings.processor.opening(), OpenPolicy::default());
    assert_eq!(settings.policy().both_forms, Policy::default().both_forms);
}

#[test]
fn an_empty_variable_is_an_empty_list() {
    let none = [("TOKENKEEP_NOTIFICATION__REFRESH_REASONS", "")];
    let settings = load(&none).unwrap();
    assert!(settings.notification.refresh_reasons.is_empty());
    let told = mistake(&[("TOKENKEEP_PROCESSOR__ENC", "")]);
    assert!(told.starts_with("TOKENKEEP_PROCESSOR__ENC: "), "{told}");
}

fn mistake(variables: &[(&str, &str)]) -> String {
    load(variables)
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

#[test]
fn variables_reach_nested_settings_whatever_their_order() {
    let settings = load(&[
        ("TOKENKEEP_PROGRAMS__SHOP__SERVICE_ID", "2025"),
        ("TOKENKEEP_PROGRAMS__SHOP__KIND", "mastercard-checkout"),
        ("TOKENKEEP_RECEIVER__MAX_BODY", "2048"),
        ("TOKENKEEP_KEYS", "2025"),
        ("TOKENKEEP_ROLES", "receive, process"),
    ])
    .unwrap();
    assert_eq!(
        settings.programs["shop"].checkout().unwrap().service_id,
        "2025"
    );
    assert_eq!(settings.receiver.max_body, 2048);
    assert_eq!(settings.keys.to_string_lossy(), "2025");
    assert_eq!(settings.roles, [Role::Receive, Role::Process]);
}

#[test]
fn a_programs_variables_have_the_types_of_its_settings() {
    let settings = load(&[
        ("TOKENKEEP_PROGRAMS__SHOP__KIND", "mastercard-checkout"),
        ("TOKENKEEP_PROGRAMS__SHOP__RATE", "7"),
        ("TOKENKEEP_PROGRAMS__SHOP__GET_CARD_TOKEN", "true"),
        ("TOKENKEEP_PROGRAMS__BANK__KIND", "mastercard-processing"),
        ("TOKENKEEP_PROGRAMS__BANK__TIMEOUT", "3"),
        ("TOKENKEEP_PROGRAMS__BANK__PAYLOAD_ENCRYPTION", "false"),
        ("TOKENKEEP_PROGRAMS__BANK__NOT_FOUND_STATUSES", "400, 404"),
        ("TOKENKEEP_PROGRAMS__BANK__NOT_FOUND_CODES", "A, B"),
        (
            "TOKENKEEP_PROGRAMS__BANK__STATUS_WORDS__Paused",
            "SUSPENDED",
        ),
    ])
    .unwrap();
    let shop = &settings.programs["shop"];
    assert_eq!(shop.connection.rate(), 7);
    assert!(shop.checkout().unwrap().get_card_token);
    let bank = &settings.programs["bank"];
    assert_eq!(bank.connection.timeout().as_secs(), 3);
    let KindSettings::MastercardProcessing(bank) = &bank.kind else {
        panic!("not of its kind");
    };
    assert!(!bank.payload_encryption);
    assert_eq!(bank.not_found_statuses, [400, 404]);
    assert_eq!(bank.not_found_codes, ["A", "B"]);
    let meaning = bank.status_words.meaning("Paused");
    assert_eq!(meaning, Some(&TokenStatus::Suspended));
    let told = mistake(&[
        ("TOKENKEEP_PROGRAMS__SHOP__KIND", "mastercard-checkout"),
        ("TOKENKEEP_PROGRAMS__SHOP__RATE", "fast"),
    ]);
    assert!(
        told.starts_with("TOKENKEEP_PROGRAMS__SHOP__RATE: "),
        "{told}"
    );
}

#[test]
fn database_url_is_read_and_the_own_variable_wins() {
    let only = load(&[("DATABASE_URL", "a.db")]).unwrap();
    assert_eq!(only.database_url, "a.db");
    let both = [("TOKENKEEP_DATABASE_URL", "b.db"), ("DATABASE_URL", "a.db")];
    assert_eq!(load(&both).unwrap().database_url, "b.db");
    let turned = [("DATABASE_URL", "a.db"), ("TOKENKEEP_DATABASE_URL", "b.db")];
    assert_eq!(load(&turned).unwrap().database_url, "b.db");
}

#[test]
fn a_mistake_is_told_with_the_variable_that_makes_it() {
    let told = mistake(&[
        ("TOKENKEEP_LISTEN", "127.0.0.1:1"),
        ("TOKENKEEP_RECEIVER__MAX_BODY", "much"),
    ]);
    assert!(told.starts_with("TOKENKEEP_RECEIVER__MAX_BODY: "), "{told}");
    let told = mistake(&[("TOKENKEEP_RECIEVER__QUEUE", "5")]);
    assert!(told.starts_with("TOKENKEEP_RECIEVER__QUEUE: "), "{told}");
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for name in ["QUEUE", "MAX_ITEMS", "BODY_DEADLINE", "COMMIT_BATCH"] {
        let told = mistake(&[(&format!("TOKENKEEP_RECEIVER__{name}"), "0")]);
        assert!(told.contains(&name.to_lowercase()), "{name}: {told}");
    }
}

#[test]
fn the_place_of_a_mistake_in_a_file_is_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkeep.toml");
    std::fs::write(&path, "environment = \"development\"\n\nlisten = 5 5\n").unwrap();
    let overrides = Overrides {
        config: Some(path.clone()),
        values: Vec::new(),
    };
    let told = Settings::load(&overrides, []).err().unwrap().to_string();
    assert!(
        told.starts_with(&format!("{}:3:", path.display())),
        "{told}"
    );
}

fn mistake_in_file(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenkeep.toml");
    std::fs::write(&path, text).unwrap();
    let overrides = Overrides {
        config: Some(path.clone()),
        values: Vec::new(),
    };
    let told = Settings::load(&overrides, []).err().unwrap().to_string();
    let place = format!("{}:", path.display());
    told.strip_prefix(&place).unwrap_or(&told).to_owned()
}

#[test]
fn a_mistake_in_a_file_is_told_with_line_column_and_what_was_probably_meant() {
    let unknown = mistake_in_file("listen = \"127.0.0.1:1\"\n[receiver]\n  max_boddy = 5\n");
    assert_eq!(
        unknown,
        "3:3: there is no setting receiver.max_boddy; did you mean receiver.max_body?"
    );
    let kind = mistake_in_file("[receiver]\nmax_body = \"much\"\n");
    assert!(kind.starts_with("2:12: receiver.max_body: "), "{kind}");
    let variant = mistake_in_file("[policy]\n\nunknown_card = \"adoptt\"\n");
    assert!(
        variant.starts_with("3:16: policy.unknown_card: "),
        "{variant}"
    );
    let program =
        mistake_in_file("[programs.shop]\nkind = \"mastercard-checkout\"\nservise_id = \"x\"\n");
    assert_eq!(
        program,
        "3:1: there is no setting programs.shop.servise_id; did you mean programs.shop.service_id?"
    );
}

#[test]
fn a_setting_of_another_kind_of_program_is_told_with_its_line_and_the_nearest() {
    let told = mistake_in_file(
        "[programs.issuer]\nkind = \"mastercard-processing\"\nsrc_client_id = \"x\"\n\
         [programs.bank]\nkind = \"alliance\"\n",
    );
    assert!(
        told.starts_with("3:1: there is no setting programs.issuer.src_client_id"),
        "{told}"
    );
    let told = mistake_in_file("[programs.bank]\nkind = \"alliance\"\nsigning_keys = \"x\"\n");
    assert_eq!(
        told,
        "3:1: there is no setting programs.bank.signing_keys; did you mean programs.bank.signing_key?"
    );
    let word = "[programs.bank]\nkind = \"alliance\"\n[programs.bank.status_words]\nB = \"BAD\"\n";
    let told = mistake_in_file(word);
    assert!(
        told.starts_with("4:5: programs.bank.status_words.B: a status word"),
        "{told}"
    );
    let header =
        "[programs.bank]\nkind = \"mastercard-processing\"\nextra_headers = { Host = \"x\" }\n";
    let told = mistake_in_file(header);
    assert!(
        told.starts_with("3:26: programs.bank.extra_headers.Host: "),
        "{told}"
    );
}

#[test]
fn debug_shows_every_setting_but_no_password() {
    let url = (
        "DATABASE_URL",
        "postgres://keeper:hunter2@db.example/tokens",
    );
    let shown = format!("{:?}", load(&[url]).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    for name in [
        "environment",
        "receiver",
        "max_body",
        "processor",
        "policy",
        "programs",
    ] {
        assert!(shown.contains(name), "{name}");
    }
}

#[test]
fn a_spool_beside_sqlite_is_refused() {
    let spool = ("TOKENKEEP_RECEIVER__SPOOL", "/var/lib/tokenkeep/spool.db");
    let told = mistake(&[spool]);
    assert!(told.contains("receiver.spool is for PostgreSQL"), "{told}");
    let settings = load(&[spool, ("DATABASE_URL", "postgres://keeper@db/tokens")]).unwrap();
    assert_eq!(settings.receiver.spool(), Some(spool.1.as_ref()));
    assert_eq!(Settings::defaults().unwrap().receiver.spool(), None);
}

//! Texts of settings files.

use proptest::prelude::*;
use proptest::sample::select;
use tokenkeep::settings::DEFAULTS;

use crate::checks::settings;
use crate::generated::{cases, changed};

fn files() -> Vec<Vec<u8>> {
    let programs = "[programs.shop]\nkind = \"mastercard-checkout\"\nservice_id = \"s\"\nrate = 7\n\
                    [programs.issuer]\nkind = \"mastercard-processing\"\nbase_url = \"http://127.0.0.1:1\"\n\
                    extra_headers = { X-Own = \"1\" }\n[programs.issuer.status_words]\nPaused = \"SUSPENDED\"\n\
                    [programs.bank]\nkind = \"alliance\"\nbase_url = \"http://127.0.0.1:1\"\n";
    let files = [DEFAULTS, programs, "environment = \"production\"\n"];
    files.map(|file| file.as_bytes().to_vec()).to_vec()
}

/// Lines of settings, some of which are in order.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let names = select(vec![
        "environment",
        "listen",
        "roles",
        "keys",
        "receiver.max_body",
        "receiver.path",
        "receiver.sibling_paths",
        "processor.enc",
        "notification.aliases.maskedCard",
        "notification.status_words.X",
        "policy.default_program",
        "programs.a.kind",
        "programs.a.base_url",
        "programs.a.rate",
        "programs.a.status_words.é",
        "programs.\"\".kind",
        "recever.max_body",
        "[receiver]",
        "[[programs]]",
    ]);
    let values = select(vec![
        "1",
        "-1",
        "99999999999",
        "1.5",
        "true",
        "\"\"",
        "\"alliance\"",
        "\"mastercard-checkout\"",
        "\"http://127.0.0.1:1\"",
        "[]",
        "[\"/x\", \"y\"]",
        "{}",
        "{ a = 1 }",
        "2026-07-20",
        "\"\"\"\na\"\"\"",
        "nan",
    ]);
    let line = (names, values).prop_map(|(name, value)| match name.starts_with('[') {
        true => format!("{name}\n"),
        false => format!("{name} = {value}\n"),
    });
    prop::collection::vec(line, 0..6).prop_map(|lines| lines.concat().into_bytes())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_changed_file_is_understood_or_refused_with_a_place(text in changed(files())) {
        settings::check(&text);
    }

    #[test]
    fn any_lines_are_understood_or_refused_with_a_place(text in lines()) {
        settings::check(&text);
    }

    #[test]
    fn any_text_is_understood_or_refused_with_a_place(text in any::<String>()) {
        settings::check(text.as_bytes());
    }
}

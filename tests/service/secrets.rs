//! Secrets of the process: no core dumps, none on the command line, none in a file that others can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::commands::with;
use crate::support::serve::Serve;
use crate::support::{Backend, TestDatabase};

#[test]
fn p09_a_running_service_leaves_no_core_dump() {
    let database = TestDatabase::new(Backend::Sqlite);
    let serve = Serve::start(&database);
    let limits = fs::read_to_string(format!("/proc/{}/limits", serve.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "soft and hard");
    // The files of a process that cannot be dumped belong to root, and cannot be opened by its own user.
    let status = fs::read_to_string(format!("/proc/{}/coredump_filter", serve.id()));
    println!(
        "P-09 core limit 0/0, coredump_filter {:?}",
        status.map(|text| text.trim().to_owned())
    );
}

#[test]
fn p15_a_password_on_the_command_line_is_refused() {
    let database = TestDatabase::new(Backend::Sqlite);
    let mut refused = 0;
    for url in [
        "postgres://keeper:hunter2@127.0.0.1:1/tokens",
        "postgres://keeper@127.0.0.1:1/tokens?password=hunter2",
    ] {
        for command in [vec!["check"], vec!["serve"], vec!["cards", "list"]] {
            let arguments = [&command[..], &["--database-url", url]].concat();
            let output = with(&database, &arguments, &[]);
            assert_eq!(output.code, 2, "{output:?}");
            assert!(output.stderr.contains("DATABASE_URL"), "{output:?}");
            assert!(!output.stderr.contains("hunter2"), "{output:?}");
            refused += 1;
        }
    }
    println!("P-15 a password on the command line: {refused} commands refused, 0 quoted it");
}

#[test]
fn p15_a_settings_file_with_a_password_that_others_can_read_is_refused_in_production() {
    let database = TestDatabase::new(Backend::Sqlite);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenkeep.toml");
    let ran = |environment: &str, url: &str, mode: u32| {
        let text = format!("environment = \"{environment}\"\ndatabase_url = \"{url}\"\n");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let variables = [
            ("TOKENKEEP_CONFIG", file.to_str().unwrap()),
            ("RUST_LOG", "warn"),
        ];
        with(&database, &["keys", "list"], &variables)
    };
    let with_password = "postgres://keeper:hunter2@127.0.0.1:1/tokens";
    let without = "postgres://keeper@127.0.0.1:1/tokens";
    let modes = [0o644, 0o604, 0o620, 0o602];
    for mode in modes {
        let refused = ran("production", with_password, mode);
        assert_eq!(refused.code, 2, "{mode:o}: {refused:?}");
        assert!(refused.stderr.contains("chmod 0600"), "{refused:?}");
        assert!(!refused.stderr.contains("hunter2"), "{refused:?}");
        let warned = ran("development", with_password, mode);
        assert!(
            warned.code == 0 && warned.stderr.contains("chmod 0600"),
            "{warned:?}"
        );
    }
    assert_eq!(ran("production", with_password, 0o600).code, 0);
    assert_eq!(ran("production", with_password, 0o640).code, 0);
    assert_eq!(ran("production", without, 0o644).code, 0);
    println!(
        "P-15 a password in a settings file that others can use: {} modes refused, 2 private ones not",
        modes.len()
    );
}

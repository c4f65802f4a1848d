//! The command line: its help, its exit codes, and what it says of wrong settings.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use insta::assert_snapshot;
use rstest::rstest;

use crate::support::commands::{Output, run, tokenkeep};
use crate::support::{Backend, TestDatabase, keys};

/// The built binary without any settings around it, in a folder of its own.
struct Bare {
    folder: tempfile::TempDir,
    command: Command,
}

impl Bare {
    fn new(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
        command.current_dir(folder.path()).args(args);
        // Help is wrapped at this width.
        command.env("COLUMNS", "100").env_remove("RUST_LOG");
        Self { folder, command }
    }

    fn run(&mut self) -> Output {
        run(&mut self.command, "")
    }
}

#[rstest]
#[case("main", &[])]
#[case("serve", &["serve"])]
#[case("demo", &["demo"])]
#[case("replay", &["replay"])]
#[case("cards", &["cards"])]
#[case("cards_list", &["cards", "list"])]
#[case("cards_show", &["cards", "show"])]
#[case("cards_import", &["cards", "import"])]
#[case("cards_delete", &["cards", "delete"])]
#[case("cards_status", &["cards", "status"])]
#[case("notifications", &["notifications"])]
#[case("notifications_list", &["notifications", "list"])]
#[case("notifications_show", &["notifications", "show"])]
#[case("notifications_explain", &["notifications", "explain"])]
#[case("cards_hold", &["cards", "hold"])]
#[case("cards_release", &["cards", "release"])]
#[case("cards_erase", &["cards", "erase"])]
#[case("migrate", &["migrate"])]
#[case("audit", &["audit"])]
#[case("audit_verify", &["audit", "verify"])]
#[case("audit_list", &["audit", "list"])]
#[case("purge", &["purge"])]
#[case("cards_export", &["cards", "export"])]
#[case("backup", &["backup"])]
#[case("migrate", &["migrate"])]
#[case("rebuild", &["rebuild"])]
#[case("maintenance", &["maintenance"])]
#[case("maintenance_on", &["maintenance", "on"])]
#[case("maintenance_off", &["maintenance", "off"])]
#[case("maintenance_status", &["maintenance", "status"])]
#[case("outbox", &["outbox"])]
#[case("outbox_list", &["outbox", "list"])]
#[case("outbox_show", &["outbox", "show"])]
#[case("outbox_retry", &["outbox", "retry"])]
#[case("outbox_discard", &["outbox", "discard"])]
#[case("reconcile", &["reconcile"])]
#[case("keys", &["keys"])]
#[case("keys_list", &["keys", "list"])]
#[case("keys_generate", &["keys", "generate"])]
#[case("keys_check", &["keys", "check"])]
#[case("keys_approve", &["keys", "approve"])]
#[case("check", &["check"])]
#[case("sandbox", &["sandbox"])]
#[case("api_keys", &["api-keys"])]
#[case("api_keys_create", &["api-keys", "create"])]
#[case("api_keys_list", &["api-keys", "list"])]
#[case("api_keys_revoke", &["api-keys", "revoke"])]
#[case("encrypt", &["encrypt"])]
#[case("completions", &["completions"])]
fn the_help_of_each_command_says_what_it_does(#[case] name: &str, #[case] args: &[&str]) {
    let help = Bare::new(&[args, &["--help"]].concat()).run();
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert_snapshot!(format!("help_{name}"), help.stdout);
}

#[rstest]
#[case::version(&["--version"], 0)]
#[case::empty_list(&["cards", "list"], 0)]
#[case::no_command(&[], 2)]
#[case::unknown_command(&["nonsense"], 2)]
#[case::unknown_option(&["cards", "list", "--nonsense"], 2)]
#[case::missing_argument(&["cards", "show"], 2)]
#[case::impossible_id(&["cards", "show", "a b"], 2)]
#[case::impossible_limit(&["cards", "list", "--limit", "0"], 2)]
#[case::impossible_role(&["api-keys", "create", "--role", "root", "--name", "x"], 2)]
#[case::unknown_card(&["cards", "show", "nobody"], 1)]
#[case::id_that_begins_with_a_dash(&["cards", "show", "-nobody"], 1)]
#[case::unknown_notification(&["notifications", "show", "nobody.0"], 1)]
#[case::unexplained_notification(&["notifications", "explain", "nobody.0"], 1)]
#[case::unknown_call(&["outbox", "show", "nobody"], 1)]
#[case::unknown_key(&["api-keys", "revoke", "nobody"], 1)]
fn the_exit_code_tells_done_from_not_well_from_wrong_use(#[case] args: &[&str], #[case] code: i32) {
    let database = TestDatabase::new(Backend::Sqlite);
    let ran = tokenkeep(&database, args);
    assert_eq!(ran.code, code, "{ran:?}");
    assert_eq!(ran.code == 0, !ran.stdout.is_empty(), "{ran:?}");
    // What is not well is told in one sentence.
    if code == 1 {
        assert!(
            ran.stderr.starts_with("tokenkeep: ") && ran.stderr.lines().count() == 1,
            "{ran:?}"
        );
    }
}

/// Runs `serve`, which must refuse; returns what it says.
fn refusal(bare: &mut Bare) -> String {
    let addresses = ["--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0"];
    bare.command.arg("serve").args(addresses);
    let ran = bare.run();
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    ran.stderr
}

#[rstest]
#[case::unknown_setting(
    "listen = \"127.0.0.1:0\"\n\n[receiver]\nqueu = 5\n",
    "tokenkeep.toml:4",
    "queu"
)]
#[case::wrong_type("[receiver]\nmax_body = \"much\"\n", "tokenkeep.toml:2", "max_body")]
#[case::not_toml("listen = 5 5\n", "tokenkeep.toml:1", "")]
fn c13_a_mistake_in_the_settings_file_is_told_with_its_line(
    #[case] text: &str,
    #[case] place: &str,
    #[case] name: &str,
) {
    let mut bare = Bare::new(&[]);
    std::fs::write(bare.folder.path().join("tokenkeep.toml"), text).unwrap();
    let told = refusal(&mut bare);
    assert!(told.contains(place) && told.contains(name), "{told}");
}

#[rstest]
#[case::wrong_type("TOKENKEEP_RECEIVER__MAX_BODY", "much")]
#[case::unknown("TOKENKEEP_RECIEVER__QUEUE", "5")]
#[case::no_such_word("TOKENKEEP_ENVIRONMENT", "staging")]
#[case::no_such_role("TOKENKEEP_ROLES", "receive,decide")]
fn c13_a_mistake_in_the_environment_is_told_with_its_variable(
    #[case] variable: &str,
    #[case] value: &str,
) {
    let mut bare = Bare::new(&[]);
    bare.command.env(variable, value);
    let told = refusal(&mut bare);
    assert!(told.contains(variable), "{told}");
}

#[test]
fn c13_a_named_settings_file_that_is_not_there_is_told_with_its_name() {
    let told = refusal(&mut Bare::new(&["--config", "elsewhere.toml"]));
    assert!(told.contains("elsewhere.toml"), "{told}");
}

#[test]
fn a_key_folder_without_keys_is_told_with_its_name_and_a_way_out() {
    let told = refusal(&mut Bare::new(&["--keys", "elsewhere"]));
    assert!(
        told.contains("elsewhere") && told.contains("keys generate"),
        "{told}"
    );
}

#[rstest]
#[case::a_table(&["cards", "list"])]
#[case::lines(&["check"])]
#[case::a_script(&["completions", "zsh"])]
fn a_reader_that_has_seen_enough_is_nothing_to_complain_about(#[case] arguments: &[&str]) {
    let database = TestDatabase::new(Backend::Sqlite);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut bare = Bare::new(arguments);
    bare.command.env("DATABASE_URL", database.url());
    bare.command.env("TOKENKEEP_KEYS", keys()).stdout(writer);
    let ran = bare.command.env("RUST_LOG", "error").output().unwrap();
    assert_eq!(String::from_utf8(ran.stderr).unwrap(), "");
    assert!(ran.status.signal().is_some(), "{:?}", ran.status);
}

#[test]
fn a_taken_port_is_told_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (ours, other) in [("--listen", "--api-listen"), ("--api-listen", "--listen")] {
        let mut bare = Bare::new(&["serve", ours, &address, other, "127.0.0.1:0", "--keys"]);
        bare.command.arg(keys());
        let ran = bare.run();
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.contains(&address), "{ran:?}");
    }
}

#[test]
fn p15_production_refuses_the_demonstration_keys() {
    let mut bare = Bare::new(&["--keys"]);
    bare.command.arg(keys());
    bare.command.env("TOKENKEEP_ENVIRONMENT", "production");
    let told = refusal(&mut bare);
    println!(
        "P-15 the demonstration folder in production: {}",
        told.trim()
    );
    assert!(told.contains("demonstration keys"), "{told}");
}

#[test]
fn a_password_in_the_database_address_is_never_told() {
    let url = "postgres://keeper:hunter2@127.0.0.1:1/tokens?application_name=hunter2";
    for args in [vec!["serve"], vec!["cards", "list"]] {
        let mut bare = Bare::new(&args);
        bare.command
            .env("DATABASE_URL", url)
            .env("RUST_LOG", "trace");
        bare.command.env("TOKENKEEP_KEYS", keys());
        let ran = bare.run();
        assert_eq!(ran.code, 1, "{ran:?}");
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            all.contains("127.0.0.1") && !all.contains("hunter2"),
            "{all}"
        );
    }
}

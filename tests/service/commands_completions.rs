//! `completions`: each shell gets a script, and bash completes by it.

use std::process::Command;

use clap::CommandFactory;
use rstest::rstest;
use tokenkeep::commands::Cli;

use crate::support::commands::run;

fn script(shell: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
    command.current_dir(folder.path());
    let output = run(command.args(["completions", shell]), "");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let files = folder.path().read_dir().unwrap();
    assert_eq!(files.count(), 0, "it needs no database and makes none");
    output.stdout
}

/// What bash offers behind these words.
fn offered(words: &str) -> Vec<String> {
    let ask = "COMP_WORDS=($0); COMP_CWORD=$((${#COMP_WORDS[@]})); COMP_WORDS+=('')
        _tokenkeep tokenkeep '' \"${COMP_WORDS[COMP_CWORD - 1]}\"
        printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("{}\n{ask}", script("bash")), words]);
    let output = run(&mut bash, "");
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    output.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_reads_its_script_and_offers_each_command_and_what_is_below_it() {
    let checked = run(Command::new("bash").arg("-n"), &script("bash"));
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
    let first = offered("tokenkeep");
    for command in Cli::command().get_subcommands() {
        let name = command.get_name().to_owned();
        assert!(first.contains(&name), "{name} is not among {first:?}");
        let below = offered(&format!("tokenkeep {name}"));
        for one in command.get_subcommands() {
            let found = below.iter().any(|word| word == one.get_name());
            assert!(found, "{name} {}", one.get_name());
        }
    }
    let of_list = offered("tokenkeep cards list");
    assert!(of_list.contains(&"--not-confirmed".to_owned()));
}

#[rstest]
#[case::zsh("zsh", "#compdef tokenkeep")]
#[case::fish("fish", "complete -c tokenkeep")]
#[case::elvish("elvish", "edit:completion:arg-completer[tokenkeep]")]
#[case::powershell("powershell", "Register-ArgumentCompleter")]
fn the_other_shells_get_a_script_of_their_own(#[case] shell: &str, #[case] mark: &str) {
    let script = script(shell);
    assert!(script.contains(mark) && script.contains("reconcile"));
}

//! Guides as their readers use them: the blocks of commands below a heading, and what the guide says
//! that they print.

use std::path::Path;
use std::process::{Command, Output};

use super::leaks;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tokenkeep");

/// A block of commands, and the lines that the guide promises of what it prints.
pub struct Step {
    pub commands: String,
    promised: Vec<String>,
}

/// The steps below a heading of a document of the project, of which there must be so many.
pub fn steps<const N: usize>(document: &str, heading: &str) -> [Step; N] {
    let mut steps: Vec<Step> = Vec::new();
    for (language, lines) in blocks(&section(document, heading)) {
        match &*language {
            "sh" => steps.push(Step {
                commands: lines.join("\n"),
                promised: Vec::new(),
            }),
            "text" => steps.last_mut().expect(heading).promised.extend(lines),
            _ => {}
        }
    }
    let number = steps.len();
    let steps = steps.try_into().ok();
    steps.unwrap_or_else(|| panic!("\"{heading}\" has {number} steps, not {N}"))
}

/// The text below a heading, up to the next one of its rank.
pub fn section(document: &str, heading: &str) -> String {
    let text = read(document);
    let mut is_code = false;
    let below = text
        .lines()
        .skip_while(|line| *line != format!("## {heading}"));
    let mut below = below.skip(1).peekable();
    assert!(below.peek().is_some(), "{document} has no \"{heading}\"");
    let section = below.take_while(|line| {
        is_code ^= line.starts_with("```");
        is_code || !line.starts_with("## ")
    });
    Vec::from_iter(section).join("\n")
}

pub fn read(document: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap()
}

/// The fenced blocks of a text: what each is said to be, and its lines.
pub fn blocks(text: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inner = lines.by_ref().take_while(|line| *line != "```");
            blocks.push((language.to_owned(), inner.map(str::to_owned).collect()));
        }
    }
    blocks
}

impl Step {
    /// The first promised line that was not printed in its order, if one was not.
    pub fn missing(&self, printed: &str) -> Option<&str> {
        let mut lines = printed.lines();
        let mut promised = self.promised.iter();
        promised
            .find(|promised| !lines.any(|line| fits(promised, line)))
            .map(String::as_str)
    }
}

/// Runs commands in a folder as a person does, with the stand-ins for what only a system has; returns
/// what they printed.
pub fn run(commands: &str, folder: &Path, variables: &[(String, String)]) -> String {
    let programs = Path::new(PROGRAM).parent().unwrap().display();
    let stand_ins = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/service/support/stand_ins"
    );
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(folder)
        .env("PATH", format!("{stand_ins}:{programs}:{path}"))
        .env("RUST_LOG", leaks::child_level())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    printed_by(commands, output)
}

/// What commands printed, which must have succeeded; it is kept for the search for secrets.
pub fn printed_by(commands: &str, output: Output) -> String {
    let [printed, complaints] =
        [output.stdout, output.stderr].map(|told| String::from_utf8(told).unwrap());
    leaks::keep("commands", complaints.as_bytes());
    for line in printed.lines() {
        // The one command that prints a secret.
        match line.starts_with("tk_") {
            true => leaks::look_for(line),
            false => leaks::keep("commands", line.as_bytes()),
        }
    }
    assert!(
        output.status.success(),
        "{commands}\n{printed}\n{complaints}"
    );
    printed
}

/// Whether a line is the promised one: "…" stands for anything, and the columns' widths do not count.
fn fits(promised: &str, line: &str) -> bool {
    let plain = |text: &str| Vec::from_iter(text.split_whitespace()).join(" ");
    let (promised, line) = (plain(promised), plain(line));
    let Some((begin, rest)) = promised.split_once('…') else {
        return promised == line;
    };
    let Some(mut line) = line.strip_prefix(begin.trim_end()) else {
        return false;
    };
    let (between, end) = rest.rsplit_once('…').unwrap_or(("", rest));
    for piece in between.split('…') {
        match line.split_once(piece.trim()) {
            Some((_, after)) => line = after,
            None => return false,
        }
    }
    line.ends_with(end.trim_start())
}

#[test]
fn a_promised_line_fits_what_was_printed() {
    for (promised, line) in [
        ("may be charged  yes", " may be charged      yes"),
        (
            "… ACTIVE … 03/2032 …",
            "AUOk ACTIVE shop  6251  03/2032  2026",
        ),
        (
            "token  …, expires …, version 2",
            "token …6251, expires 11/2034, version 2",
        ),
        ("…", ""),
    ] {
        assert!(fits(promised, line), "{promised}: {line}");
    }
    for (promised, line) in [
        ("may be charged  yes", "may be charged  no"),
        ("… ACTIVE … 03/2032 …", "03/2032 ACTIVE"),
        ("token  …, version 2", "token …6251, version 21"),
        ("token  …", "no token"),
    ] {
        assert!(!fits(promised, line), "{promised}: {line}");
    }
}

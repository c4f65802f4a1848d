//! `cards import`: registers cards from a file, line by line.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use indicatif::ProgressBar;

use crate::api::body;
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::commands::refusals::Refusals;
use crate::commands::tables::progress_style;
use crate::processor::{self, Registered};
use crate::telemetry::Clock;

pub fn run(common: &Common, file: &Path) -> Result<(), Failure> {
    let (settings, store) = common.open()?;
    let unreadable = |error: std::io::Error| {
        Failure::wrong(format!(
            "{}: cannot be read: {}",
            file.display(),
            error.kind()
        ))
    };
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => fs::read_to_string(file),
    };
    let text = text.map_err(unreadable)?;
    let programs: BTreeSet<String> = settings.programs.keys().cloned().collect();
    let policy = settings.policy();
    let lines: Vec<(usize, &str)> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .collect();
    let bar = ProgressBar::new(lines.len() as u64).with_style(progress_style("cards"));
    let (mut created, mut updated, mut refused) = (0_u64, 0_u64, Refusals::default());
    for (number, line) in lines {
        let now = Clock::system().now();
        let outcome = match body::import_line(line.as_bytes(), &programs, now) {
            Ok(registering) => processor::register(&store, &policy, registering)?,
            Err(fault) => {
                refused.add(number, fault);
                bar.inc(1);
                continue;
            }
        };
        match outcome {
            Registered::Created => created += 1,
            Registered::Updated => updated += 1,
            Registered::Ended => {
                refused.add(number, "the card has ended");
            }
            Registered::Misfit(misfit) => refused.add(number, misfit),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!(
        "{created} new, {updated} known before, {} refused",
        refused.count()
    );
    refused.print("LINE")?;
    refused.verdict("some lines were refused; the others are registered")
}

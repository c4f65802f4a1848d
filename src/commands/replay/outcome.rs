//! What a replay came to: the difference each item makes, and a summary by verdict.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::commands::failure::Failure;
use crate::commands::tables::{plain, print_json, print_table};
use crate::processor::Replayed;

/// Counts by verdict or answer, and what was refused.
#[derive(Default)]
pub struct Summary {
    counts: BTreeMap<String, u64>,
    refusals: Vec<(String, String)>,
    pub items: Vec<Replayed>,
}

impl Summary {
    /// Counts items by their verdicts.
    pub fn count(&mut self, items: &[Replayed]) {
        for item in items {
            *self.counts.entry(verdict(item)).or_default() += 1;
        }
    }

    /// A body that cannot be kept, and why.
    pub fn refused(&mut self, place: &str, why: &str) {
        self.refusals.push((place.to_owned(), why.to_owned()));
    }

    /// What a receiver answered.
    pub fn answered(&mut self, place: &str, status: u16) {
        if (200..300).contains(&status) {
            *self.counts.entry(format!("answered {status}")).or_default() += 1;
        } else {
            self.refused(place, &format!("answered {status}"));
        }
    }

    /// Prints the counts, every refusal with its place, and whether all of it was a rehearsal.
    pub fn print(&self, as_json: bool, is_rehearsal: bool) -> Result<(), Failure> {
        let refusal = |(place, why): &(String, String)| json!({ "place": place, "reason": why });
        if as_json {
            return Ok(print_json(&json!({
                "counts": self.counts,
                "refused": self.refusals.iter().map(refusal).collect::<Vec<_>>(),
                "items": self.items.iter().map(view).collect::<Vec<_>>(),
            }))?);
        }
        let counts = self
            .counts
            .iter()
            .map(|(name, count)| vec![name.clone(), count.to_string()]);
        let refused = ("refused".to_owned(), self.refusals.len());
        let refused = (refused.1 > 0).then(|| vec![refused.0, refused.1.to_string()]);
        print_table(&["VERDICT", "ITEMS"], counts.chain(refused))?;
        for (place, why) in &self.refusals {
            println!("{place}: refused: {why}");
        }
        if is_rehearsal {
            println!("Nothing was changed: this was a rehearsal (--dry-run).");
        }
        Ok(())
    }

    /// Fails if anything was refused.
    pub fn verdict(&self) -> Result<(), Failure> {
        match self.refusals.len() {
            0 => Ok(()),
            count => Err(Failure::unwell(format!("{count} were refused"))),
        }
    }
}

fn view(item: &Replayed) -> Value {
    json!({
        "id": item.notification_id,
        "cardId": item.card_id,
        "verdict": item.verdict,
        "verdictReason": item.hold,
        "rule": item.rule,
        "changes": item.changes,
    })
}

fn verdict(item: &Replayed) -> String {
    match &item.hold {
        Some(hold) => format!("{}({hold})", item.verdict),
        None => item.verdict.clone(),
    }
}

/// Prints what each item changes, field by field.
pub fn print_differences(items: &[Replayed]) -> Result<(), Failure> {
    for item in items {
        let card = item.card_id.as_deref().unwrap_or("no card");
        println!("{card}: {}, rule {}", verdict(item), item.rule);
        let cells = item.changes.iter().map(|change| {
            vec![
                format!("  {}", change.field),
                plain(&change.from),
                "->".to_owned(),
                plain(&change.to),
            ]
        });
        if !item.changes.is_empty() {
            print_table(&["", "", "", ""], cells)?;
        }
    }
    Ok(())
}

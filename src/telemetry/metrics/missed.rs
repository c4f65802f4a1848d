//! What seems to have been missed of cards, and programs that have gone silent.

use std::collections::BTreeSet;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Metrics;
use super::described::{Label, Reading, Registering, Values, listed, set_counts};

const KINDS: [&str; 4] = [
    "token-expires",
    "suspended-long",
    "cryptogram-missing",
    "digits-disagree",
];

/// The program of cards that are of none of the settings.
const NO_PROGRAM: &str = "none";

/// A program of the settings or none, and a kind of what seems to have been missed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CardLabels {
    program: String,
    kind: &'static str,
}

/// A program of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProgramLabel {
    program: String,
}

#[derive(Clone)]
pub(super) struct MissedCards {
    cards: Family<CardLabels, Gauge>,
    unjudged: Reading,
    silent: Family<ProgramLabel, Gauge>,
}

impl MissedCards {
    pub fn new(to: &mut Registering) -> Self {
        Self {
            cards: to
                .metric(
                    "missed_cards",
                    "Cards of which something seems to have been missed, by program and kind",
                )
                .labels(&[
                    Label {
                        name: "program",
                        values: Values::Each("program of the settings, and `none`"),
                    },
                    Label {
                        name: "kind",
                        values: Values::OneOf(&KINDS),
                    },
                ])
                .advice(
                    "No more than 10000 of a kind are counted. `check --data` lists them and says what \
                     to do.",
                )
                .add(Family::default()),
            unjudged: to
                .metric(
                    "unjudged_cards",
                    "Cards from before an upgrade of which it is not known yet whether something was missed",
                )
                .advice("Up to 10000. A running service looks at 200 of them a second until there is none.")
                .add(Reading::default()),
            silent: to
                .metric(
                    "program_silent",
                    "1 while a program tells of far less than it usually does",
                )
                .labels(&[Label {
                    name: "program",
                    values: Values::Each("program of the settings"),
                }])
                .add(Family::default()),
        }
    }
}

impl Metrics {
    /// Cards of a kind of what seems to have been missed, by program; of those that are not of one of
    /// `programs`, the programs of the settings, together.
    pub fn missed<'a>(
        &self,
        programs: &[String],
        kind: &'static str,
        counts: impl Iterator<Item = (Option<&'a str>, i64)>,
    ) {
        let kind = listed(kind, &KINDS);
        let labels = |program: Option<&str>| {
            let is_known = |program: &&str| programs.iter().any(|known| known == program);
            CardLabels {
                program: program.filter(is_known).unwrap_or(NO_PROGRAM).to_owned(),
                kind,
            }
        };
        let all = programs
            .iter()
            .map(|program| labels(Some(program)))
            .chain([labels(None)]);
        let counted = counts.map(|(program, count)| (labels(program), count));
        set_counts(&self.missed.cards, all, counted);
    }

    /// So many cards are not judged yet.
    pub fn unjudged(&self, cards: i64) {
        self.missed.unjudged.set(Some(cards));
    }

    /// Which of the programs of the settings are silent; of none is told while that cannot be judged.
    pub fn silent(&self, programs: &[String], silent: Option<&BTreeSet<String>>) {
        let gauges = &self.missed.silent;
        let Some(silent) = silent else {
            return gauges.clear();
        };
        for program in programs {
            let label = ProgramLabel {
                program: program.clone(),
            };
            let is_silent = silent.contains(program);
            gauges.get_or_create(&label).set(is_silent.into());
        }
    }
}

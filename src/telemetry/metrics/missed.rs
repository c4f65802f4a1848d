//! What seems to have been missed of cards, and programs that have gone silent.

use std::collections::BTreeSet;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Metrics;
use super::described::{Label, Registering, Values, listed};

const KINDS: [&str; 4] = [
    "token-expires",
    "suspended-long",
    "cryptogram-missing",
    "digits-disagree",
];

/// A kind of what seems to have been missed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// A program of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProgramLabel {
    program: String,
}

#[derive(Clone)]
pub(super) struct MissedCards {
    cards: Family<KindLabel, Gauge>,
    silent: Family<ProgramLabel, Gauge>,
}

impl MissedCards {
    pub fn new(to: &mut Registering) -> Self {
        Self {
            cards: to
                .metric(
                    "missed_cards",
                    "Cards of which something seems to have been missed, by kind; 10000 is as many or more",
                )
                .labels(&[Label {
                    name: "kind",
                    values: Values::OneOf(&KINDS),
                }])
                .advice("`check --data` lists them and says what to do.")
                .add(Family::default()),
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
    /// How many cards there are of each kind of what seems to have been missed.
    pub fn missed(&self, counts: impl Iterator<Item = (&'static str, i64)>) {
        for (kind, count) in counts {
            let kind = listed(kind, &KINDS);
            let cards = self.missed.cards.get_or_create(&KindLabel { kind });
            cards.set(count);
        }
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

//! A registry that keeps of each metric what it means: the encoded text lacks those without a sample.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry, Unit};

/// A metric and what it means.
pub struct Described {
    pub group: &'static str,
    /// As it is exposed; a histogram's series have `_bucket`, `_sum` and `_count` behind it.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    pub labels: &'static [Label],
    pub meaning: &'static str,
    /// What to do when it moves, where its meaning does not say so; or empty.
    pub advice: &'static str,
}

/// A label of a metric.
pub struct Label {
    pub name: &'static str,
    pub values: Values,
}

/// What a label may be.
pub enum Values {
    OneOf(&'static [&'static str]),
    /// One for each of these.
    Each(&'static str),
}

/// The value if it is in the list; a label has no others.
pub(super) fn listed(value: &str, list: &[&'static str]) -> &'static str {
    let mut known = list.iter().copied();
    known.find(|known| *known == value).unwrap_or("other")
}

/// A registry in the making.
pub(super) struct Registering {
    prefix: &'static str,
    group: &'static str,
    registry: Registry,
    described: Vec<Described>,
}

impl Registering {
    pub fn new(prefix: &'static str) -> Self {
        Self {
            prefix,
            group: "",
            registry: Registry::with_prefix(prefix),
            described: Vec::new(),
        }
    }

    /// What follows belongs to this group.
    pub fn group(&mut self, group: &'static str) -> &mut Self {
        self.group = group;
        self
    }

    /// Begins to describe a metric.
    pub fn metric(&mut self, name: &'static str, meaning: &'static str) -> Adding<'_> {
        Adding {
            to: self,
            name,
            meaning,
            unit: None,
            labels: &[],
            advice: "",
        }
    }

    pub fn done(self) -> (Registry, Vec<Described>) {
        (self.registry, self.described)
    }
}

/// A metric that is being described.
pub(super) struct Adding<'a> {
    to: &'a mut Registering,
    name: &'static str,
    meaning: &'static str,
    unit: Option<Unit>,
    labels: &'static [Label],
    advice: &'static str,
}

impl Adding<'_> {
    pub fn seconds(mut self) -> Self {
        self.unit = Some(Unit::Seconds);
        self
    }

    pub fn labels(mut self, labels: &'static [Label]) -> Self {
        self.labels = labels;
        self
    }

    pub fn advice(mut self, advice: &'static str) -> Self {
        self.advice = advice;
        self
    }

    /// Registers it, and returns what it is counted with.
    pub fn add<M: Metric + Clone>(self, metric: M) -> M {
        let kind = metric.metric_type();
        let unit = self.unit.as_ref().map(|unit| format!("_{}", unit.as_str()));
        let suffix = match kind {
            MetricType::Counter => "_total",
            _ => "",
        };
        let (prefix, name) = (self.to.prefix, self.name);
        self.to.described.push(Described {
            group: self.to.group,
            name: format!("{prefix}_{name}{}{suffix}", unit.unwrap_or_default()),
            kind: kind.as_str().to_owned(),
            labels: self.labels,
            meaning: self.meaning,
            advice: self.advice,
        });
        let registry = &mut self.to.registry;
        match self.unit {
            Some(unit) => registry.register_with_unit(name, self.meaning, unit, metric.clone()),
            None => registry.register(name, self.meaning, metric.clone()),
        }
        metric
    }
}

/// Sets gauges to what was counted, those of `all` of which nothing was counted to 0: a series that comes and
/// goes cannot be compared with itself. Added up before anything is set: several scrapes may do it at once.
pub(super) fn set_counts<L>(
    gauges: &Family<L, Gauge>,
    all: impl Iterator<Item = L>,
    counted: impl Iterator<Item = (L, i64)>,
) where
    L: Clone + Eq + Hash,
{
    let mut sums: HashMap<L, i64> = all.map(|labels| (labels, 0)).collect();
    for (labels, count) in counted {
        *sums.entry(labels).or_default() += count;
    }
    for (labels, sum) in sums {
        gauges.get_or_create(&labels).set(sum);
    }
}

/// A gauge that is not told while its value is not known.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading(Arc<Mutex<Option<i64>>>);

impl Reading {
    pub fn set(&self, value: Option<i64>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    fn value(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EncodeMetric for Reading {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        match self.value() {
            Some(value) => encoder.encode_gauge(&value),
            None => Ok(()),
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }

    fn is_empty(&self) -> bool {
        self.value().is_none()
    }
}

//! Keys at work, and certificates that end.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::Metrics;
use super::described::{Label, Registering, Values};

/// A file of certificates that the settings name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FileLabel {
    file: String,
}

#[derive(Clone)]
pub(super) struct Keys {
    private_operations: Counter,
    certificates: Family<FileLabel, Gauge>,
}

impl Keys {
    pub fn new(to: &mut Registering) -> Self {
        Self {
            private_operations: to
                .metric("private_key_operations", "Operations with a private payload key")
                .add(Counter::default()),
            certificates: to
                .metric(
                    "certificate_expires",
                    "When the first certificate of a file ends, since 1970",
                )
                .seconds()
                .labels(&[Label {
                    name: "file",
                    values: Values::Each(
                        "file with certificates: the listener's, the senders' authorities, revocation \
                         lists, programs' signing and encryption keys",
                    ),
                }])
                .add(Family::default()),
        }
    }
}

impl Metrics {
    /// So many private-key operations were done.
    pub fn private_operations(&self, count: u64) {
        self.keys.private_operations.inc_by(count);
    }

    /// When the first certificate of a file of the settings ends, in seconds since 1970.
    pub fn certificate(&self, file: &str, ends_at: i64) {
        let label = FileLabel {
            file: file.to_owned(),
        };
        self.keys.certificates.get_or_create(&label).set(ends_at);
    }
}

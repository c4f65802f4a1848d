//! Logs on standard error, as lines for people or as JSON; `RUST_LOG` chooses what is told.
//!
//! A line has a message that can be read alone, and fields that can be searched for; `delivery` is
//! the id that runs from a request through everything it caused. Never logged, at any level: a
//! body, a number, a value bound to a query, a serde message.

use std::io::{self, Write};

use env_logger::{Builder, Env, fmt::Formatter};
use log::kv::{Error, Key, Value as Field, VisitSource};
use log::{LevelFilter, Record};
use serde_json::{Map, Value};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Human,
    Json,
}

/// The server library tells of every worker; our own lines say what an operator needs.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// They log addresses and what goes over the wire.
const NEVER_LOGGED: [&str; 2] = ["ureq", "ureq_proto"];

/// Starts logging.
pub fn init_logs(format: LogFormat) {
    let mut builder = Builder::from_env(Env::default().default_filter_or(DEFAULT_FILTER));
    for module in NEVER_LOGGED {
        builder.filter_module(module, LevelFilter::Off);
    }
    if format == LogFormat::Json {
        builder.format(json_line);
    }
    // A second initialisation in one process (tests) changes nothing.
    let _ = builder.try_init();
}

/// One event, one line, one JSON object.
fn json_line(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut fields = Fields(Map::new());
    // Collecting into a map does not fail.
    let _ = record.key_values().visit(&mut fields);
    let mut line = fields.0;
    let mut own = |name: &str, value: String| line.insert(name.to_owned(), value.into());
    own("at", out.timestamp_millis().to_string());
    own("level", record.level().to_string());
    own("target", record.target().to_owned());
    own("message", record.args().to_string());
    writeln!(out, "{}", Value::Object(line))
}

struct Fields(Map<String, Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Field<'kvs>) -> Result<(), Error> {
        let value = match value.to_i64() {
            Some(number) => number.into(),
            None => value.to_string().into(),
        };
        self.0.insert(key.to_string(), value);
        Ok(())
    }
}

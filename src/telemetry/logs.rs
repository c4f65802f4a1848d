//! Logs on standard error, as lines for people or as JSON; `RUST_LOG` chooses what is told.
//!
//! A line has a message that can be read alone, and fields that can be searched for; `delivery` is
//! the id that runs from a request through everything it caused. Never logged, at any level: a
//! body, a number, a value bound to a query, a serde message.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};

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
    match format {
        LogFormat::Human => builder.format(write_human),
        LogFormat::Json => builder.format(write_json),
    };
    // A second initialisation in one process (tests) changes nothing.
    let _ = builder.try_init();
}

/// One event, one line.
fn write_human(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let (at, level) = (out.timestamp(), record.level());
    let style = out.default_level_style(level);
    writeln!(
        out,
        "[{at} {style}{level:<5}{style:#} {}",
        human_text(record)
    )
}

/// One event, one line, one JSON object.
fn write_json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let at = out.timestamp_millis().to_string();
    writeln!(out, "{}", json_text(at, record))
}

/// What stands behind the level, on one line whatever it holds.
pub(super) fn human_text(record: &Record<'_>) -> String {
    let mut text = format!("{}] {}", record.target(), record.args());
    for (name, value) in fields_of(record) {
        // Writing into text does not fail.
        let _ = match value {
            Value::String(value) => write!(text, " {name}={value}"),
            value => write!(text, " {name}={value}"),
        };
    }
    escaped(&text, |text, c| text.extend(c.escape_default())).into_owned()
}

/// The event as an object, on one line whatever it holds.
pub(super) fn json_text(at: String, record: &Record<'_>) -> String {
    let mut line = fields_of(record);
    let mut own = |name: &str, value: String| line.insert(name.to_owned(), value.into());
    own("at", at);
    own("level", record.level().to_string());
    own("target", record.target().to_owned());
    own("message", record.args().to_string());
    // JSON itself lets characters stand that end a line for some readers. They are found within
    // strings only.
    let in_json = |text: &mut String, c: char| {
        let _ = write!(text, "\\u{:04x}", u32::from(c));
    };
    escaped(&Value::Object(line).to_string(), in_json).into_owned()
}

/// Whether a character could end a line, or show another than was written.
fn is_unfit(c: char) -> bool {
    let is_separator = matches!(c, '\u{2028}' | '\u{2029}');
    let turns_direction = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    c.is_control() || is_separator || turns_direction
}

/// Text in which `escape` writes every unfit character.
fn escaped(text: &str, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(is_unfit) {
        return Cow::Borrowed(text);
    }
    let mut fit = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_unfit(c) {
            true => escape(&mut fit, c),
            false => fit.push(c),
        }
    }
    Cow::Owned(fit)
}

fn fields_of(record: &Record<'_>) -> Map<String, Value> {
    let mut fields = Fields(Map::new());
    // Collecting into a map does not fail.
    let _ = record.key_values().visit(&mut fields);
    fields.0
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

//! Layers the settings: defaults, file, environment, flags.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{DEFAULTS, DatabaseUrl, Environment, Settings, mistakes, notification, transport};
use crate::jose::key_exposure::is_exposed;

/// The file read when `--config` names none, if it is there.
const DEFAULT_FILE: &str = "tokenkeep.toml";
const PREFIX: &str = "TOKENKEEP_";
/// Read by the command line itself, not a setting.
const NOT_SETTINGS: [&str; 1] = ["TOKENKEEP_CONFIG"];

/// Tables whose names are the other side's words, the case of which counts.
const OF_WORDS: [&str; 2] = ["__STATUS_WORDS__", "__ALIASES__"];

const EXPOSED: &str = "database_url holds a password and others may read or change this file: not in production \
     (chmod 0600, or DATABASE_URL)";

/// What the command line says.
#[derive(Debug, Default, Clone)]
pub struct Overrides {
    pub config: Option<PathBuf>,
    /// Settings by their dotted names.
    pub values: Vec<(&'static str, Value)>,
}

/// A mistake in the settings, with its place.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{path}: cannot be read: {cause}", path = .0.display(), cause = .1)]
    Unreadable(PathBuf, std::io::ErrorKind),
    #[error("{place}: {message}")]
    Wrong { place: String, message: String },
    #[error("the settings as a whole: {0}")]
    Inconsistent(String),
}

impl Settings {
    /// Loads the settings. `environment` is the process's variables, handed in for tests.
    pub fn load(
        overrides: &Overrides,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let mut table = defaults()?;
        let mut exposed = None;
        if let Some((path, text)) = file(overrides.config.as_deref())? {
            let place = path.display().to_string();
            let defaults = table.clone();
            overlay(&mut table, parse(&place, &text)?);
            if let Err(error) = check(&place, &table) {
                return Err(mistakes::in_file(&place, &text, &defaults, &table).unwrap_or(error));
            }
            let url = table.get("database_url").and_then(Value::as_str);
            let url = url.and_then(|url| DatabaseUrl::parse(url).ok());
            // A file that is gone meanwhile exposes nothing.
            exposed = url
                .filter(|url| url.holds_password() && is_exposed(&path).unwrap_or(false))
                .map(|_| place);
        }
        overlay_environment(&mut table, environment)?;
        for (name, value) in &overrides.values {
            set(&mut table, name, value.clone());
            check(&format!("--{}", name.replace('_', "-")), &table)?;
        }
        let settings = check("the settings", &table)?.checked()?;
        match exposed {
            Some(place) if settings.environment == Environment::Production => {
                Err(SettingsError::Wrong {
                    place,
                    message: EXPOSED.to_owned(),
                })
            }
            Some(place) => {
                log::warn!("{place}: {EXPOSED}");
                Ok(settings)
            }
            None => Ok(settings),
        }
    }

    /// The defaults alone.
    pub fn defaults() -> Result<Self, SettingsError> {
        check("the settings", &defaults()?)
    }

    /// What no single value shows.
    fn checked(self) -> Result<Self, SettingsError> {
        let inconsistent = |message: String| Err(SettingsError::Inconsistent(message));
        let default = &self.policy.default_program;
        if !default.is_empty() && !self.programs.contains_key(default) {
            return inconsistent(format!(
                "policy.default_program names no program: {default}"
            ));
        }
        if let Some(message) = notification::mistake(&self.notification) {
            return inconsistent(message);
        }
        if let Some(message) = self.missed.mistake() {
            return inconsistent(message);
        }
        if let Some(message) = self.retention.mistake() {
            return inconsistent(message);
        }
        if !(200..300).contains(&self.receiver.success_status) {
            return inconsistent("receiver.success_status is not a success (2xx)".to_owned());
        }
        if !self.receiver.path.starts_with('/') {
            return inconsistent("receiver.path does not begin with /".to_owned());
        }
        if let Some(path) = self.receiver.unfit_sibling() {
            return inconsistent(format!(
                "receiver.sibling_paths: {path:?} does not begin with /, has a pattern in it, or is taken"
            ));
        }
        if let Some(message) = transport::mistake(&self.receiver) {
            return inconsistent(message);
        }
        if let Some(message) = self.unfit_spool() {
            return inconsistent(message.to_owned());
        }
        let limits = [
            ("receiver.queue", self.receiver.queue, 1_000_000),
            ("receiver.commit_batch", self.receiver.commit_batch, 1000),
            (
                "receiver.commit_patience",
                self.receiver.commit_patience as usize,
                60,
            ),
            ("receiver.max_body", self.receiver.max_body, 16 << 20),
            ("receiver.max_items", self.receiver.max_items, 10_000),
            (
                "receiver.body_deadline",
                self.receiver.body_deadline as usize,
                3600,
            ),
            (
                "receiver.spool_bytes",
                self.receiver.spool_bytes as usize,
                1 << 40,
            ),
            ("processor.batch", self.processor.batch as usize, 1000),
        ];
        match limits
            .iter()
            .find(|(_, value, most)| !(1..=*most).contains(value))
        {
            Some((name, _, most)) => inconsistent(format!("{name} must be from 1 to {most}")),
            None => Ok(self),
        }
    }
}

impl Settings {
    /// SQLite is a file of this machine: where it cannot be written, no other file of it is a better place.
    fn unfit_spool(&self) -> Option<&'static str> {
        let url = DatabaseUrl::parse(&self.database_url);
        let has_server = matches!(url, Ok(DatabaseUrl::Postgres(_)));
        (self.receiver.spool().is_some() && !has_server)
            .then_some("receiver.spool is for PostgreSQL: a SQLite database is never away")
    }
}

fn defaults() -> Result<Table, SettingsError> {
    parse("the default settings", DEFAULTS)
}

fn file(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, SettingsError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.to_owned(), text))),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SettingsError::Unreadable(path.to_owned(), error.kind())),
    }
}

fn parse(place: &str, text: &str) -> Result<Table, SettingsError> {
    text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        SettingsError::Wrong {
            place: format!("{place}:{}", mistakes::line_and_column(text, at)),
            message: error.message().to_owned(),
        }
    })
}

/// Deserialises what has been laid together so far, so that a mistake is told with its layer.
pub(super) fn check(place: &str, table: &Table) -> Result<Settings, SettingsError> {
    table
        .clone()
        .try_into()
        .map_err(|error: toml::de::Error| SettingsError::Wrong {
            place: place.to_owned(),
            message: error.message().to_owned(),
        })
}

fn overlay(table: &mut Table, layer: Table) {
    for (name, value) in layer {
        match (table.get_mut(&name), value) {
            (Some(Value::Table(inner)), Value::Table(layer)) => overlay(inner, layer),
            (_, value) => {
                table.insert(name, value);
            }
        }
    }
}

/// Lays all variables over the settings, then checks them together: one alone may be half of
/// something. If they do not fit, the one is named without which they would.
fn overlay_environment(
    table: &mut Table,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(), SettingsError> {
    let ours = |(name, value): (String, String)| Some((setting_of(&name)?, name, value));
    let mut variables: Vec<_> = environment.into_iter().filter_map(ours).collect();
    // DATABASE_URL first, TOKENKEEP_DATABASE_URL over it.
    variables.sort_by(|(_, one, _), (_, other, _)| one.cmp(other));
    let variables = typed(table, variables)?;
    let without = |left_out: Option<&str>| {
        let mut table = table.clone();
        let used = variables
            .iter()
            .filter(|(_, name, _)| Some(name.as_str()) != left_out);
        for (setting, _, value) in used {
            set(&mut table, setting, value.clone());
        }
        table
    };
    let all = without(None);
    if let Err(error) = check("the environment", &all) {
        let mut names = variables.iter().map(|(_, name, _)| name);
        return match names.find(|name| check("", &without(Some(name))).is_ok()) {
            Some(culprit) => check(culprit, &all).map(|_| ()),
            None => Err(error),
        };
    }
    *table = all;
    Ok(())
}

/// The variables, each with a value of the type that its setting has.
fn typed(
    table: &Table,
    variables: Vec<(String, String, String)>,
) -> Result<Vec<(String, String, Value)>, SettingsError> {
    // With them as they are: the kind of a program may be among them.
    let mut laid = table.clone();
    for (setting, _, text) in &variables {
        set(&mut laid, setting, text.as_str().into());
    }
    let typed = |(setting, name, text): (String, String, String)| {
        let known = mistakes::template(&setting, table, &laid);
        match get(&known, &setting) {
            Some(current) => {
                let value = from_text(current, &text);
                Ok((setting, name, value))
            }
            None => Err(SettingsError::Wrong {
                message: mistakes::unknown(&setting, &known),
                place: name,
            }),
        }
    };
    variables.into_iter().map(typed).collect()
}

/// `TOKENKEEP_RECEIVER__MAX_BODY` as `receiver.max_body`; `DATABASE_URL` as it is.
fn setting_of(name: &str) -> Option<String> {
    if name == "DATABASE_URL" {
        return Some("database_url".to_owned());
    }
    let setting = name
        .strip_prefix(PREFIX)
        .filter(|_| !NOT_SETTINGS.contains(&name))?;
    // Passwords are read where they are used; the tests' own variables are nobody's settings.
    let is_other = ["SIGNING_PASSWORD_", "TEST_"]
        .iter()
        .any(|prefix| setting.starts_with(prefix));
    let word = OF_WORDS
        .iter()
        .find_map(|table| Some(setting.split_once(table)?.1));
    let word = word.unwrap_or_default();
    let table = setting.strip_suffix(word).unwrap_or(setting);
    (!is_other).then(|| format!("{}{word}", table.to_lowercase().replace("__", ".")))
}

pub(super) fn get<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        None => table.get(name),
        Some((section, rest)) => get(table.get(section)?.as_table()?, rest),
    }
}

pub(super) fn set(table: &mut Table, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            table.insert(name.to_owned(), value);
        }
        Some((section, rest)) => {
            let inner = table
                .entry(section.to_owned())
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// The text as a value of the type the setting has now. What does not fit is left as text, and refused
/// when it is checked.
fn from_text(current: &Value, text: &str) -> Value {
    let parsed = match current {
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(items) => {
            let like = items.first().cloned().unwrap_or_else(|| "".into());
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            let items = items.map(|item| from_text(&like, item));
            Some(Value::Array(items.collect()))
        }
        _ => None,
    };
    parsed.unwrap_or_else(|| text.into())
}

//! Where exactly a mistake in the settings is, and what was probably meant.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::load::{SettingsError, check, get, set};
use super::programs::ProgramKind;

const PROGRAMS: &str = "programs";
/// Tables whose names are the merchant's, too.
const OF_NAMES: [&str; 2] = ["status_words", "extra_headers"];
/// Names less alike than this are no suggestion.
const LIKENESS: f64 = 0.75;

/// A setting as it stands in a file.
struct Entry {
    name: String,
    value: Value,
    /// Byte in the file where its name begins.
    name_at: usize,
    value_at: usize,
}

/// Looks for the setting that makes a file unfit, each one by itself over the defaults, and says
/// where it stands: `PLACE:LINE:COLUMN`. None if every one of them alone is in order. `laid` has the
/// file over the defaults.
pub(super) fn in_file(
    place: &str,
    text: &str,
    defaults: &Table,
    laid: &Table,
) -> Option<SettingsError> {
    let root = DeTable::parse(text).ok()?;
    let mut entries = Vec::new();
    collect(root.get_ref(), "", &mut entries);
    let at = |byte: usize, message: String| SettingsError::Wrong {
        place: format!("{place}:{}", line_and_column(text, byte)),
        message,
    };
    entries.into_iter().find_map(|entry| {
        let known = template(&entry.name, defaults, laid);
        if get(&known, &entry.name).is_none() {
            return Some(at(entry.name_at, unknown(&entry.name, &known)));
        }
        let alone = with(&known, &entry.name, entry.value);
        let error = check("", &alone).err()?;
        let message = match error {
            SettingsError::Wrong { message, .. } => message,
            other => other.to_string(),
        };
        Some(at(entry.value_at, format!("{}: {message}", entry.name)))
    })
}

/// What is wrong with a setting that no default names, with the most alike one that there is.
pub(super) fn unknown(name: &str, known: &Table) -> String {
    let mut names = Vec::new();
    names_of(known, "", &mut names);
    let alike = |known: &String| strsim::jaro_winkler(name, known);
    let nearest = names
        .iter()
        .map(|known| (alike(known), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((_, nearest)) => format!("there is no setting {name}; did you mean {nearest}?"),
        None => format!("there is no setting {name}"),
    }
}

/// The defaults with a program of the name that a setting is of, if it is one of a program's, and
/// with the status word or header that it is, if it is one. The program is of the kind that it has in
/// `laid`.
pub(super) fn template(name: &str, defaults: &Table, laid: &Table) -> Table {
    let mut known = defaults.clone();
    let program = name
        .strip_prefix(PROGRAMS)
        .and_then(|rest| rest.strip_prefix('.'));
    let program = program.and_then(|rest| rest.split('.').next());
    if let Some(program) = program {
        let program = format!("{PROGRAMS}.{program}");
        let kind = get(laid, &format!("{program}.kind")).cloned();
        // A kind that is none is refused where it stands.
        let kind: ProgramKind = kind.and_then(|k| k.try_into().ok()).unwrap_or_default();
        if let Ok(fields) = kind.template().parse::<Table>() {
            set(&mut known, &program, Value::Table(fields));
        }
    }
    let is_in = |table: &str| {
        let before = name.split_once(&format!(".{table}."));
        let table = before.and_then(|(before, _)| get(&known, &format!("{before}.{table}")));
        table.is_some_and(Value::is_table)
    };
    if OF_NAMES.iter().any(|table| is_in(table)) {
        set(&mut known, name, Value::from("ACTIVE"));
    }
    known
}

fn with(known: &Table, name: &str, value: Value) -> Table {
    let mut table = known.clone();
    set(&mut table, name, value);
    table
}

/// The settings of a file, tables opened; an empty or unknown table is an entry of its own.
fn collect(table: &DeTable<'_>, prefix: &str, entries: &mut Vec<Entry>) {
    for (key, value) in table {
        let name = joined(prefix, key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => collect(inner, &name, entries),
            _ => entries.push(Entry {
                name,
                value: plain(value),
                name_at: key.span().start,
                value_at: value.span().start,
            }),
        }
    }
}

fn plain(value: &Spanned<DeValue<'_>>) -> Value {
    let deserializer = toml::de::ValueDeserializer::from(value.clone());
    serde::Deserialize::deserialize(deserializer).unwrap_or(Value::Boolean(false))
}

fn names_of(table: &Table, prefix: &str, names: &mut Vec<String>) {
    for (key, value) in table {
        let name = joined(prefix, key);
        match value {
            Value::Table(inner) => names_of(inner, &name, names),
            _ => names.push(name),
        }
    }
}

fn joined(prefix: &str, key: &str) -> String {
    match prefix {
        "" => key.to_owned(),
        prefix => format!("{prefix}.{key}"),
    }
}

/// Both count from 1, columns in characters.
pub(super) fn line_and_column(text: &str, byte: usize) -> String {
    let before = text.get(..byte).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    format!("{line}:{column}")
}

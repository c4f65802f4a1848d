//! The fixtures, with their event times moved so that the last of them is now.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::commands::failure::Failure;
use crate::jose::json::parse;
use crate::jose::{Keyring, encrypt};

const ENCRYPTED: &str = "encryptedDigitalCardUpdateNotifications";
const EVENT_TIME: &str = "eventTimeStamp";

/// A body to be sent.
pub struct Fixture {
    /// The file's name without number and ending: what it shows.
    pub name: String,
    pub body: String,
}

/// Loads the JSON files of a folder in the order of their names.
pub fn load(
    folder: &Path,
    keys: &Path,
    keyring: &Keyring,
    now: i64,
) -> Result<Vec<Fixture>, Failure> {
    let mut files = files(folder)?;
    files.sort();
    let mut bodies = Vec::new();
    for file in files {
        let wrong =
            |what: &dyn std::fmt::Display| Failure::wrong(format!("{}: {what}", file.display()));
        let text = fs::read(&file).map_err(|error| wrong(&error.kind()))?;
        let body = parse(&text).map_err(|fault| wrong(&fault))?;
        bodies.push((
            name(&file),
            open(body, keyring).map_err(|error| wrong(&error))?,
        ));
    }
    let last = bodies
        .iter()
        .filter_map(|(_, body)| last_event_time(body.content()))
        .max();
    let shift = last.map_or(0, |last| now - last);
    bodies
        .into_iter()
        .map(|(name, body)| finish(name, body, shift, keys, keyring))
        .collect()
}

/// A body whose event times can be reached.
enum Body {
    Plain(Value),
    /// The plaintext of a fully encrypted one.
    Encrypted(Value),
}

impl Body {
    fn content(&self) -> &Value {
        match self {
            Self::Plain(value) | Self::Encrypted(value) => value,
        }
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let missing = |error: std::io::Error| {
        let what = error.kind();
        Failure::wrong(format!(
            "{}: cannot be read: {what}. Run the demo in the project's folder, or name --fixtures",
            folder.display()
        ))
    };
    let paths = fs::read_dir(folder)
        .map_err(missing)?
        .flatten()
        .map(|entry| entry.path());
    Ok(paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect())
}

fn name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    name.replace('-', " ")
}

/// Opens a fully encrypted body; one that no key opens is sent as it is.
fn open(body: Value, keyring: &Keyring) -> Result<Body, crate::jose::JsonFault> {
    let token = body.get(ENCRYPTED).and_then(Value::as_str);
    match token.and_then(|token| keyring.open(token, None).ok()) {
        Some(plaintext) => Ok(Body::Encrypted(parse(&plaintext)?)),
        None => Ok(Body::Plain(body)),
    }
}

fn finish(
    name: String,
    body: Body,
    shift: i64,
    keys: &Path,
    keyring: &Keyring,
) -> Result<Fixture, Failure> {
    let body = match body {
        Body::Plain(mut body) => {
            move_event_times(&mut body, shift);
            body
        }
        Body::Encrypted(mut list) => {
            move_event_times(&mut list, shift);
            let key = keyring.keys().find(|key| key.is_default());
            let kid = key.map(|key| key.kid().to_owned()).unwrap_or_default();
            let pem = fs::read(keys.join("payload").join(format!("{kid}.pem")))?;
            let token = encrypt(list.to_string().as_bytes(), &pem, Some(&kid), "A256GCM", 16);
            json!({ ENCRYPTED: token.map_err(Failure::unwell)? })
        }
    };
    Ok(Fixture {
        name,
        body: body.to_string(),
    })
}

fn last_event_time(value: &Value) -> Option<i64> {
    match value {
        Value::Array(items) => items.iter().filter_map(last_event_time).max(),
        Value::Object(fields) => {
            let own = fields.get(EVENT_TIME).and_then(milliseconds);
            own.into_iter()
                .chain(fields.values().filter_map(last_event_time))
                .max()
        }
        _ => None,
    }
}

fn move_event_times(value: &mut Value, shift: i64) {
    match value {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| move_event_times(item, shift)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match milliseconds(value).filter(|_| name == EVENT_TIME) {
                    Some(time) => *value = (time + shift).to_string().into(),
                    None => move_event_times(value, shift),
                }
            }
        }
        _ => {}
    }
}

fn milliseconds(value: &Value) -> Option<i64> {
    value.as_str()?.parse().ok()
}

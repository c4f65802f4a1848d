//! The bodies to replay: from JSON and NDJSON files, and folders of them.

use std::fs;
use std::path::{Path, PathBuf};

use super::outcome::Summary;
use crate::commands::failure::Failure;
use crate::domain::WireForm;
use crate::notification::Envelope;

/// A request body with the place it was read from.
pub struct Body {
    pub place: String,
    pub bytes: Vec<u8>,
}

/// Reads all bodies in the order of the paths, each `repeat` times. What could not be kept by the
/// receiver is refused here as well.
pub fn load(
    paths: &[PathBuf],
    repeat: usize,
    shuffle: bool,
    wire: &WireForm,
    summary: &mut Summary,
) -> Result<Vec<Body>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        collect(path, &mut files)?;
    }
    if files.is_empty() {
        return Err(Failure::wrong(
            "there is no .json or .ndjson file in what was named",
        ));
    }
    let mut bodies = Vec::new();
    for file in &files {
        read(file, &mut bodies)?;
    }
    bodies.retain(|body: &Body| match Envelope::parse(&body.bytes, wire) {
        Ok(_) => true,
        Err(fault) => {
            summary.refused(&body.place, &fault.to_string());
            false
        }
    });
    let copy = |body: &Body| Body {
        place: body.place.clone(),
        bytes: body.bytes.clone(),
    };
    let mut all: Vec<Body> = (0..repeat).flat_map(|_| bodies.iter().map(copy)).collect();
    if shuffle {
        mix(&mut all)?;
    }
    Ok(all)
}

/// A file as it is named; of a folder its `.json` and `.ndjson` files by name, folders in it too.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::wrong(format!(
            "{}: cannot be read: {}",
            path.display(),
            error.kind()
        ))
    };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(unreadable)?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        let is_fixture = entry
            .extension()
            .is_some_and(|e| e == "json" || e == "ndjson");
        if is_fixture || entry.is_dir() {
            collect(&entry, files)?;
        }
    }
    Ok(())
}

fn read(file: &Path, bodies: &mut Vec<Body>) -> Result<(), Failure> {
    let place = file.display().to_string();
    let text = fs::read(file)
        .map_err(|error| Failure::wrong(format!("{place}: cannot be read: {}", error.kind())))?;
    if file.extension().is_none_or(|ending| ending != "ndjson") {
        bodies.push(Body { place, bytes: text });
        return Ok(());
    }
    let lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    bodies.extend(
        lines
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .map(|(number, line)| Body {
                place: format!("{place}:{number}"),
                bytes: line.to_vec(),
            }),
    );
    Ok(())
}

/// Random order, by random sort keys.
fn mix(bodies: &mut Vec<Body>) -> Result<(), Failure> {
    let mut keyed = Vec::with_capacity(bodies.len());
    for body in bodies.drain(..) {
        let mut key = [0_u8; 16];
        openssl::rand::rand_bytes(&mut key).map_err(Failure::unwell)?;
        keyed.push((key, body));
    }
    keyed.sort_by_key(|(key, _)| *key);
    bodies.extend(keyed.into_iter().map(|(_, body)| body));
    Ok(())
}

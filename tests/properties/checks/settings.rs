//! The text of a settings file: understood, or refused with the place of the mistake.

use std::cell::RefCell;
use std::io::{Seek as _, Write as _};

use tempfile::NamedTempFile;
use tokenkeep::settings::{Overrides, Settings, SettingsError};

thread_local! {
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().unwrap());
}

pub fn check(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    FILE.with_borrow_mut(|file| {
        file.rewind().unwrap();
        file.as_file().set_len(0).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let overrides = Overrides {
            config: Some(file.path().to_owned()),
            ..Overrides::default()
        };
        match Settings::load(&overrides, []) {
            Ok(settings) => assert!(!format!("{settings:?}").is_empty()),
            Err(error) => assert_names_a_place(&error, &file.path().display().to_string(), text),
        }
    });
}

fn assert_names_a_place(error: &SettingsError, file: &str, text: &str) {
    let message = error.to_string();
    match error {
        SettingsError::Wrong { place, .. } => {
            let place = place.strip_prefix(file);
            let mut numbers = place.unwrap().split(':').skip(1);
            // A mistake of several settings together has the file as its place.
            if let Some(line) = numbers.next() {
                let line: usize = line.parse().unwrap();
                let column: usize = numbers.next().unwrap().parse().unwrap();
                assert!(line >= 1 && line <= text.lines().count() + 1, "{message}");
                assert!(column >= 1 && column <= text.len() + 1, "{message}");
            }
        }
        SettingsError::Inconsistent(said) => assert!(!said.is_empty()),
        SettingsError::Unreadable(..) => panic!("{message}"),
    }
}

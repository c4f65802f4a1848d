//! `keys.toml`: which key is the default, which are retired, and what else they are called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{KeyError, key_files};

/// The content of `keys.toml`, all of it optional.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KeySettings {
    /// The payload key whose public half is given out.
    pub(super) default: Option<String>,
    /// Payload keys that only open what is still under way.
    pub(super) retired: Vec<String>,
    /// Other names of payload keys: alias to kid.
    pub(super) aliases: BTreeMap<String, String>,
    /// The storage key that seals.
    pub(super) storage: Option<String>,
}

pub(super) fn path(root: &Path) -> PathBuf {
    root.join("keys.toml")
}

impl KeySettings {
    /// Reads `root/keys.toml`; a file that is not there says nothing.
    pub(super) fn load(root: &Path) -> Result<KeySettings, KeyError> {
        let file = path(root);
        if !file
            .try_exists()
            .map_err(|error| KeyError::io(&file, &error))?
        {
            return Ok(KeySettings::default());
        }
        let bytes = key_files::read(root, &file)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| KeyError::unusable(&file, "is not UTF-8; save it as UTF-8 text"))?;
        // The message of the toml crate quotes the line, which may be a key pasted into the wrong file.
        toml::from_str(text).map_err(|error| KeyError::Settings {
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            file,
        })
    }

    pub(super) fn aliases_of(&self, kid: &str) -> Vec<String> {
        let mine = self.aliases.iter().filter(|(_, target)| *target == kid);
        mine.map(|(alias, _)| alias.clone()).collect()
    }

    /// Checks that every payload key named here is loaded, and that no name contradicts another.
    pub(super) fn check_payload(
        &self,
        root: &Path,
        is_loaded: impl Fn(&str) -> bool,
    ) -> Result<(), KeyError> {
        let default = self.default.iter().map(|kid| ("default", kid));
        let retired = self.retired.iter().map(|kid| ("retired", kid));
        let aliases = self.aliases.values().map(|kid| ("an alias", kid));
        for (setting, kid) in default.chain(retired).chain(aliases) {
            if !is_loaded(kid) {
                return Err(KeyError::Missing {
                    file: path(root),
                    setting,
                    name: kid.clone(),
                    folder: "payload",
                    extension: "pem",
                });
            }
        }
        if let Some((alias, kid)) = self.aliases.iter().find(|(alias, _)| is_loaded(alias)) {
            return Err(KeyError::Ambiguous {
                name: alias.clone(),
                first: alias.clone(),
                second: kid.clone(),
            });
        }
        match &self.default {
            Some(kid) if self.retired.contains(kid) => Err(KeyError::RetiredDefault {
                file: path(root),
                kid: kid.clone(),
            }),
            _ => Ok(()),
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

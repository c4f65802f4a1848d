//! A model of a disk: what of a traced process's files would be there after a power cut.
//!
//! The strict reading of POSIX: what was written is there for certain once a sync of its file that began
//! afterwards has come back, a name once a sync of its folder has. Anything else may be there, in part, and
//! in any order. (ext4 also writes a new file's name when that file is synced; the model does not count on it.)

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::random::Random;

/// A folder for an image, in memory where that is possible: many are made.
pub fn image_folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let parent = match memory.is_dir() {
        true => memory,
        false => std::env::temp_dir(),
    };
    tempfile::tempdir_in(parent).unwrap()
}

/// A change to the content of a file.
#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut { length: usize },
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
            Self::Cut { length } => content.resize(*length, 0),
        }
    }
}

/// A file, whatever its name is.
#[derive(Default)]
struct File {
    synced: Vec<u8>,
    changes: Vec<Change>,
    /// So many of the changes are in `synced`.
    done: usize,
}

impl File {
    fn sync(&mut self, to: usize) {
        for change in &self.changes[self.done.min(to)..to] {
            change.apply(&mut self.synced);
        }
        self.done = self.done.max(to);
    }
}

/// What a sync waits for.
pub enum Syncing {
    /// All names of the folder, as they were when it began.
    Names(BTreeMap<String, usize>),
    /// So many changes of a file.
    Changes(usize, usize),
}

/// A folder on a disk.
#[derive(Default)]
pub struct Disk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
}

impl Disk {
    /// Opens a file to be made if it is not there.
    pub fn create(&mut self, name: &str) {
        if !self.names.contains_key(name) {
            self.names.insert(name.to_owned(), self.files.len());
            self.files.push(File::default());
        }
    }

    pub fn write(&mut self, name: &str, at: usize, bytes: Vec<u8>) {
        self.change(name, Change::Write { at, bytes });
    }

    pub fn cut(&mut self, name: &str, length: usize) {
        self.change(name, Change::Cut { length });
    }

    fn change(&mut self, name: &str, change: Change) {
        let file = self.names[name];
        self.files[file].changes.push(change);
    }

    pub fn remove(&mut self, name: &str) {
        self.names.remove(name);
    }

    /// A sync begins: of a file, or of the folder. What no longer has a name is not followed.
    pub fn begin_sync(&self, name: Option<&str>) -> Option<Syncing> {
        match name {
            None => Some(Syncing::Names(self.names.clone())),
            Some(name) => {
                let file = *self.names.get(name)?;
                Some(Syncing::Changes(file, self.files[file].changes.len()))
            }
        }
    }

    pub fn end_sync(&mut self, syncing: Syncing) {
        match syncing {
            Syncing::Names(names) => self.synced_names = names,
            Syncing::Changes(file, to) => self.files[file].sync(to),
        }
    }

    /// Writes what is there for certain into a folder.
    pub fn lay_out(&self, folder: &Path) {
        for (name, file) in &self.synced_names {
            std::fs::write(folder.join(name), &self.files[*file].synced).unwrap();
        }
    }

    /// The same with some of what was not synced: each change whole, in sectors of 512 or 4,096 bytes or not at
    /// all, in any order; and the names before or after.
    pub fn lay_out_torn(&self, folder: &Path, random: &mut Random) {
        let names = match random.is_heads() {
            true => &self.names,
            false => &self.synced_names,
        };
        for (name, file) in names {
            let file = &self.files[*file];
            let mut content = file.synced.clone();
            let mut changes = Vec::from_iter(&file.changes[file.done..]);
            if random.is_heads() {
                random.shuffle(&mut changes);
            }
            for change in changes {
                tear(change, &mut content, random);
            }
            std::fs::write(folder.join(name), content).unwrap();
        }
    }
}

/// Applies a change, some sectors of it, or nothing.
fn tear(change: &Change, content: &mut Vec<u8>, random: &mut Random) {
    let Change::Write { at, bytes } = change else {
        if random.is_heads() {
            change.apply(content);
        }
        return;
    };
    let sector = [512, 4_096, usize::MAX][random.below(3)];
    let mut done = 0;
    while done < bytes.len() {
        let to = (sector - (at + done) % sector).min(bytes.len() - done) + done;
        if random.is_heads() {
            let part = Change::Write {
                at: at + done,
                bytes: bytes[done..to].to_vec(),
            };
            part.apply(content);
        }
        done = to;
    }
}

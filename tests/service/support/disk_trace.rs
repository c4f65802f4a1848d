//! Reads what `strace` wrote of a process: what it did to the files of one folder, and what it answered.

use std::collections::HashMap;
use std::path::Path;

use super::disk::{Disk, Syncing};

/// One thing that happened, in its order.
pub enum Step {
    Created(String),
    Written {
        name: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        name: String,
        length: usize,
    },
    Removed(String),
    /// A thread began to sync a file, or the folder.
    SyncBegan {
        thread: u32,
        name: Option<String>,
    },
    SyncEnded {
        thread: u32,
    },
    /// A 204 is about to be sent to this port.
    Acknowledged(u16),
}

/// The steps of a trace on the files of a folder. The shared memory beside a database is none of them:
/// SQLite makes it anew from the log.
pub fn read(trace: &str, folder: &Path) -> Vec<Step> {
    let mut reader = Reader {
        folder: format!("{}/", folder.to_str().unwrap()),
        creating: HashMap::new(),
        steps: Vec::new(),
    };
    trace.lines().for_each(|line| reader.line(line));
    reader.steps
}

struct Reader {
    folder: String,
    /// Files that threads are about to open.
    creating: HashMap<u32, String>,
    steps: Vec<Step>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let (thread, call) = line.split_once(' ').unwrap();
        let (thread, call) = (thread.parse().unwrap(), call.trim_start());
        if let Some(rest) = call.strip_prefix("<... ") {
            let (name, rest) = rest.split_once(' ').unwrap();
            return self.ended(thread, name, rest);
        }
        let Some((name, arguments)) = call.split_once('(') else {
            return;
        };
        self.began(thread, name, arguments);
        if !arguments.ends_with("<unfinished ...>") {
            self.ended(thread, name, arguments);
        }
    }

    /// A call counts from its beginning, a sync and the making of a file from their end.
    fn began(&mut self, thread: u32, call: &str, arguments: &str) {
        let parts = Vec::from_iter(arguments.split(", "));
        let step = match call {
            "openat" if arguments.contains("O_CREAT") => {
                if let Some(name) = self.name_of(&text(parts[1])) {
                    self.creating.insert(thread, name);
                }
                return;
            }
            "pwrite64" => self.name(parts[0]).map(|name| Step::Written {
                name,
                at: number(parts[3]),
                bytes: bytes(parts[1]),
            }),
            "ftruncate" => self.name(parts[0]).map(|name| Step::Cut {
                name,
                length: number(parts[1]),
            }),
            "unlink" => self.name_of(&text(parts[0])).map(Step::Removed),
            "rename" => panic!("SQLite renames nothing"),
            "fsync" | "fdatasync" => {
                let path = path(parts[0]);
                let is_folder = path
                    .as_ref()
                    .is_some_and(|path| format!("{path}/") == self.folder);
                let name = path.and_then(|path| self.name_of(&path));
                (is_folder || name.is_some()).then_some(Step::SyncBegan { thread, name })
            }
            "sendto" => acknowledged(&parts).map(Step::Acknowledged),
            _ => None,
        };
        self.steps.extend(step);
    }

    fn ended(&mut self, thread: u32, call: &str, rest: &str) {
        let is_done = !rest.contains(" = -1 ");
        match call {
            "openat" => {
                let created = self.creating.remove(&thread).filter(|_| is_done);
                self.steps.extend(created.map(Step::Created));
            }
            "fsync" | "fdatasync" if is_done => self.steps.push(Step::SyncEnded { thread }),
            _ => {}
        }
    }

    /// The name in the folder that a descriptor stands for.
    fn name(&self, descriptor: &str) -> Option<String> {
        self.name_of(&path(descriptor)?)
    }

    fn name_of(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix(&self.folder)?;
        (!name.ends_with("-shm")).then(|| name.to_owned())
    }
}

/// To which port a 204 goes, if this is one.
fn acknowledged(parts: &[&str]) -> Option<u16> {
    let start: String = parts.get(1)?.chars().take(1 + 4 * 12).collect();
    if !text(&start).starts_with("HTTP/1.1 204") {
        return None;
    }
    let (_, peer) = parts[0].split_once("->")?;
    let (_, port) = peer.trim_end_matches("]>").rsplit_once(':')?;
    port.parse().ok()
}

/// What stands between `<` and `>` behind a descriptor.
fn path(descriptor: &str) -> Option<String> {
    let (_, path) = descriptor.split_once('<')?;
    Some(text(path.split('>').next()?))
}

fn number(argument: &str) -> usize {
    let digits = argument.split([')', ' ']).next().unwrap();
    digits.parse().unwrap()
}

fn text(argument: &str) -> String {
    String::from_utf8_lossy(&bytes(argument)).into_owned()
}

/// `"\x2f\x74"`, with or without its quotes.
pub fn bytes(argument: &str) -> Vec<u8> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    };
    let quoted = argument.as_bytes();
    let start = usize::from(quoted.first() == Some(&b'"'));
    let bytes = quoted[start..].chunks_exact(4);
    let bytes = bytes.take_while(|byte| byte[0] == b'\\');
    bytes
        .map(|byte| digit(byte[2]) * 16 + digit(byte[3]))
        .collect()
}

/// Follows the steps on a disk.
#[derive(Default)]
pub struct Replay {
    pub disk: Disk,
    syncing: HashMap<u32, Option<Syncing>>,
}

impl Replay {
    pub fn follow(&mut self, step: &Step) {
        let disk = &mut self.disk;
        match step {
            Step::Created(name) => disk.create(name),
            Step::Written { name, at, bytes } => disk.write(name, *at, bytes.clone()),
            Step::Cut { name, length } => disk.cut(name, *length),
            Step::Removed(name) => disk.remove(name),
            Step::SyncBegan { thread, name } => {
                let syncing = disk.begin_sync(name.as_deref());
                self.syncing.insert(*thread, syncing);
            }
            Step::SyncEnded { thread } => {
                if let Some(syncing) = self.syncing.remove(thread).flatten() {
                    disk.end_sync(syncing);
                }
            }
            Step::Acknowledged(_) => {}
        }
    }
}

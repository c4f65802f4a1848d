//! D-26: every lock and queue of the program is one of the library's, and stands in docs/reliability.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/reliability.md");
/// Who uses one of these shares something between threads.
const SHARING: [&str; 10] = [
    "Mutex<",
    "RwLock<",
    "Condvar",
    "AtomicBool",
    "AtomicU",
    "AtomicI",
    "OnceLock<",
    "LazyLock<",
    "Semaphore",
    "channel",
];
/// With these a lock would be made by hand.
const BY_HAND: [&str; 8] = [
    "compare_exchange",
    "fetch_update",
    "UnsafeCell",
    "spin_loop",
    "thread::park",
    "fence(Ordering",
    "AtomicPtr",
    "unsafe {",
];

/// The program's own files, without their tests.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        match path.is_dir() {
            true if name != "tests" => files(&path, found),
            false if name.ends_with(".rs") && name != "tests.rs" => found.push(path),
            _ => {}
        }
    }
}

/// Seen to fail with a lock that the page does not name, and with a file that is not there any more.
#[test]
fn d26_every_lock_and_queue_is_of_the_library_and_stands_in_the_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    files(&root.join("src"), &mut all);
    let mut sharing = BTreeSet::new();
    for path in &all {
        let text = fs::read_to_string(path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let by_hand = BY_HAND.iter().find(|word| text.contains(**word));
        assert!(by_hand.is_none(), "{}: {by_hand:?}", path.display());
        let mut lines = text.lines().map(str::trim_start);
        let is_code = |line: &str| !line.starts_with("//");
        if lines.any(|line| is_code(line) && SHARING.iter().any(|word| line.contains(word))) {
            let path = path.strip_prefix(root).unwrap();
            sharing.insert(path.to_str().unwrap().to_owned());
        }
    }
    let is_source = |word: &&str| word.starts_with("src/") && word.ends_with(".rs");
    let of_page = PAGE.split('`').filter(is_source);
    let listed: BTreeSet<String> = of_page.map(str::to_owned).collect();
    assert_eq!(
        sharing, listed,
        "those of the program, and those of the page"
    );
    println!(
        "D-26 {} files with locks or queues of the library, 0 made by hand",
        sharing.len()
    );
}

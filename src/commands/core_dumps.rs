//! No core dumps: the memory of this process holds keys and numbers.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps of this process, and others of its user to look into its memory. Tells it in the log.
pub fn forbid() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // The limit does not hold for a handler that the kernel pipes dumps to; not being dumpable does.
    let done = setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    match done {
        Ok(()) => log::debug!("core dumps are off"),
        Err(error) => log::warn!("core dumps cannot be turned off: {error}"),
    }
}

//! No core dumps: the memory of this process holds keys and numbers.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps of this process, and others of its user to look into its memory. Tells it in the log.
pub fn forbid() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // The limit does not hold for a handler that the kernel pipes dumps to; not being dumpable does. One
    // that fails is no reason to leave out the other.
    let limited = setrlimit(Resource::Core, none);
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    match limited.and(hidden) {
        Ok(()) => log::debug!("core dumps are off"),
        Err(error) => log::warn!("core dumps cannot be turned off: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    #[test]
    fn p09_a_process_neither_leaves_a_core_dump_nor_lets_others_of_its_user_look_into_it() {
        super::forbid();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        println!("P-09 core limit 0/0, not dumpable");
    }
}

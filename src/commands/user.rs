//! Who uses the command line: the account that the process runs under. Its environment does not say so,
//! anybody may set that.

use crate::audit::Actor;

const ACCOUNTS: &str = "/etc/passwd";

/// The account, by its name where this machine's list of accounts has one; beside it what `sudo` says of
/// whoever called it.
pub fn actor() -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let accounts = std::fs::read_to_string(ACCOUNTS).unwrap_or_default();
    let user = name_of(uid, &accounts).map_or_else(|| format!("uid:{uid}"), str::to_owned);
    let by = |name| std::env::var(name).ok();
    let sudo = by("SUDO_UID").map(|uid| {
        let name = by("SUDO_USER").unwrap_or_default();
        format!("uid:{uid} {name}").trim_end().to_owned()
    });
    Actor::terminal(&user, sudo.as_deref())
}

/// The name of an account in a list as `/etc/passwd` is.
fn name_of(uid: u32, accounts: &str) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\n\nbroken\nshop:x:1000:1000::/:/bin/sh\n";
        assert_eq!(name_of(1000, accounts), Some("shop"));
        assert_eq!(name_of(0, accounts), Some("root"));
        assert_eq!(name_of(1, accounts), None);
    }
}

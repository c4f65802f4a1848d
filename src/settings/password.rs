//! Where the password of a database may stand: in the environment, or in a file that others cannot read.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Group and others may not write the file, others may not read it.
const TOO_OPEN: u32 = 0o026;

/// Whether a database address holds a password, in its authority or among its parameters.
pub fn holds_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let among_parameters = |text: &str| {
        let parameters = text
            .split_once('?')
            .map_or("", |(_, parameters)| parameters);
        parameters
            .split('&')
            .any(|parameter| parameter.starts_with("password="))
    };
    user.split_once(':')
        .is_some_and(|(_, password)| !password.is_empty())
        || among_parameters(place)
}

/// Whether others may read a file, or change it.
pub(super) fn is_exposed(path: &Path) -> bool {
    // A file that is gone meanwhile exposes nothing.
    std::fs::metadata(path).is_ok_and(|data| data.permissions().mode() & TOO_OPEN != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_seen_wherever_it_stands() {
        for url in [
            "postgres://keeper:hunter2@db.example/tokens",
            "postgres://keeper:hun@ter2@db.example/tokens",
            "postgres://keeper@db.example/tokens?sslmode=require&password=hunter2",
            "postgres:///tokens?password=hunter2",
        ] {
            assert!(holds_password(url), "{url}");
        }
        for url in [
            "tokenkeep.db",
            "sqlite://tokenkeep.db",
            "postgres://keeper@db.example:5432/tokens",
            "postgres://keeper:@db.example/tokens?sslmode=require",
        ] {
            assert!(!holds_password(url), "{url}");
        }
    }
}

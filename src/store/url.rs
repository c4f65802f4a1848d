//! Where the database is: a path, `sqlite://PATH` or `postgres://…`.

use std::path::PathBuf;

/// A database address. Its text form leaves the password out.
#[derive(Clone)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
    /// The whole libpq URL, password included: never print it, `Display` is safe.
    Postgres(String),
}

/// The text is not the address of a database we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a database address is a path, sqlite://PATH or postgres://…")]
pub struct UnknownScheme;

impl DatabaseUrl {
    /// Reads an address; without a scheme it is a path to a SQLite file.
    pub fn parse(text: &str) -> Result<Self, UnknownScheme> {
        match text.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            None if !text.is_empty() => Ok(Self::Sqlite(text.into())),
            _ => Err(UnknownScheme),
        }
    }
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

/// `postgres://user:secret@host/db?password=x` as `postgres://user@host/db`: a password can stand
/// in the authority or among the parameters, and may hold any character.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (user.split(':').next(), place),
        None => (None, rest),
    };
    let place = place.split('?').next().unwrap_or_default();
    match user {
        Some(user) => format!("{scheme}://{user}@{place}"),
        None => format!("{scheme}://{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_address_holds_no_password() {
        for url in [
            "postgres://keeper:hunter2@db.example/tokens",
            "postgres://keeper@db.example/tokens?password=hunter2",
            "postgresql://keeper:hun@ter2@db.example/tokens?sslmode=require",
            "postgresql://keeper:hun?ter2@db.example/tokens",
        ] {
            let Ok(parsed) = DatabaseUrl::parse(url) else {
                panic!("{url} is an address")
            };
            let shown = parsed.to_string();
            assert!(!shown.contains("hun") && !shown.contains("ter2"), "{shown}");
            assert!(shown.ends_with("keeper@db.example/tokens"), "{shown}");
        }
    }

    #[test]
    fn an_unknown_scheme_is_refused() {
        assert!(DatabaseUrl::parse("mysql://x/y").is_err());
        assert!(DatabaseUrl::parse("").is_err());
    }
}

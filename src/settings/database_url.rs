//! Where the database is: a path, `sqlite://PATH` or `postgres://…`. The one place that takes an address
//! apart.

use std::net::IpAddr;
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

/// What libpq reads beside the address, in which another machine may be named.
const OF_LIBPQ: [&str; 3] = ["PGHOST", "PGHOSTADDR", "PGSERVICE"];

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

    /// Whether it holds a password, in its authority or among its parameters.
    pub fn holds_password(&self) -> bool {
        let Self::Postgres(url) = self else {
            return false;
        };
        let parts = Parts::of(url);
        let in_authority = parts.credentials.split_once(':');
        in_authority.is_some_and(|(_, password)| !password.is_empty())
            || parts.parameters().any(|(name, _)| name == "password")
    }

    /// Whether what goes to the database and back can be read on its way: it is on another machine, and
    /// the address does not demand that its certificate is checked.
    pub fn goes_in_clear(&self) -> bool {
        let Self::Postgres(url) = self else {
            return false;
        };
        let parts = Parts::of(url);
        let mut modes = parts.parameters().filter(|(name, _)| *name == "sslmode");
        let is_checked = |(_, mode): (&str, &str)| matches!(mode, "verify-ca" | "verify-full");
        let mode = modes.next();
        let is_safe = mode.is_some_and(is_checked) && modes.all(is_checked);
        !is_safe && parts.is_elsewhere()
    }

    /// The address for libpq with more parameters.
    pub fn with_parameters(url: &str, parameters: &str) -> String {
        let joint = match Parts::of(url).place.contains('?') {
            true => '&',
            false => '?',
        };
        format!("{url}{joint}{parameters}")
    }
}

/// `postgres://user:secret@host/db?password=x` as `postgres://user@host/db`: a password can stand
/// in the authority or among the parameters, and may hold any character.
impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = match self {
            Self::Sqlite(path) => return write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => Parts::of(url),
        };
        let user = url.credentials.split(':').next().unwrap_or_default();
        let at = if user.is_empty() { "" } else { "@" };
        let place = url.place.split('?').next().unwrap_or_default();
        write!(f, "{}://{user}{at}{place}", url.scheme)
    }
}

/// The parts of an address of PostgreSQL.
struct Parts<'a> {
    scheme: &'a str,
    /// Up to the last `@`, for a password may hold one; empty without any.
    credentials: &'a str,
    /// Hosts, name of the database and parameters.
    place: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
        let (credentials, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        Self {
            scheme,
            credentials,
            place,
        }
    }

    fn parameters(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (_, parameters) = self.place.split_once('?').unwrap_or_default();
        let pairs = parameters.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// Whether another machine is named, or may be: what is not understood for sure is.
    fn is_elsewhere(&self) -> bool {
        // libpq takes an `@` behind the first `/` for a part of what stands there.
        if self.credentials.contains('/') {
            return true;
        }
        let hosts = self.place.split(['/', '?']).next().unwrap_or_default();
        let hosts = hosts.split(',').map(without_port);
        let named = self.parameters().flat_map(|(name, value)| match name {
            "host" | "hostaddr" => value.split(',').collect(),
            _ => Vec::new(),
        });
        let hosts: Vec<&str> = hosts.chain(named).filter(|host| !host.is_empty()).collect();
        let is_unknown = |(name, _): (&str, &str)| name == "service" || name.contains('%');
        self.parameters().any(is_unknown)
            || hosts.iter().any(|host| !is_this_machine(host))
            || (hosts.is_empty() && OF_LIBPQ.iter().any(|name| std::env::var_os(name).is_some()))
    }
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether a host is the folder of a Unix socket, or names this machine.
pub(super) fn is_this_machine(host: &str) -> bool {
    let is_socket = host.starts_with('/') || host.starts_with("%2F") || host.starts_with("%2f");
    let address = host.parse::<IpAddr>();
    is_socket
        || host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> DatabaseUrl {
        match DatabaseUrl::parse(url) {
            Ok(parsed) => parsed,
            Err(_) => panic!("{url} is an address"),
        }
    }

    #[test]
    fn the_shown_address_holds_no_password() {
        for url in [
            "postgres://keeper:hunter2@db.example/tokens",
            "postgres://keeper@db.example/tokens?password=hunter2",
            "postgresql://keeper:hun@ter2@db.example/tokens?sslmode=require",
            "postgresql://keeper:hun?ter2@db.example/tokens",
            "postgresql://keeper:hun/ter2@db.example/tokens",
        ] {
            let shown = parsed(url).to_string();
            assert!(!shown.contains("hun") && !shown.contains("ter2"), "{shown}");
            assert!(shown.ends_with("keeper@db.example/tokens"), "{shown}");
        }
    }

    #[test]
    fn an_unknown_scheme_is_refused() {
        assert!(DatabaseUrl::parse("mysql://x/y").is_err());
        assert!(DatabaseUrl::parse("").is_err());
    }

    #[test]
    fn a_password_is_seen_wherever_it_stands() {
        for url in [
            "postgres://keeper:hunter2@db.example/tokens",
            "postgres://keeper:hun@ter2@db.example/tokens",
            "postgres://keeper@db.example/tokens?sslmode=require&password=hunter2",
            "postgres:///tokens?password=hunter2",
        ] {
            assert!(parsed(url).holds_password(), "{url}");
        }
        for url in [
            "tokenkeep.db",
            "sqlite://tokenkeep.db",
            "postgres://keeper@db.example:5432/tokens",
            "postgres://keeper:@db.example/tokens?sslmode=require",
        ] {
            assert!(!parsed(url).holds_password(), "{url}");
        }
    }

    #[test]
    fn another_machine_without_a_checked_certificate_is_reached_in_clear() {
        for url in [
            "postgres://keeper@db.example/tokens",
            "postgres://keeper:hun/ter2@127.0.0.1/tokens",
            "postgres://keeper@10.0.0.7:5432/tokens?sslmode=require",
            "postgres://keeper@db.example/tokens?sslmode=verify-full&sslmode=disable",
            "postgres://keeper@127.0.0.1,db.example/tokens",
            "postgres://keeper@127.0.0.1/tokens?host=db.example",
            "postgres:///tokens?hostaddr=10.0.0.7",
            "postgres:///tokens?host=/run/postgresql,db.example",
            "postgres:///tokens?service=main",
            "postgres:///tokens?%68ost=db.example",
            "postgres:///tokens?application_name=a@b&host=db.example",
            "postgres://keeper@[2001:db8::1]:5432/tokens",
        ] {
            assert!(parsed(url).goes_in_clear(), "{url}");
        }
        for url in [
            "tokenkeep.db",
            "postgres://keeper@db.example/tokens?sslmode=verify-full",
            "postgres://keeper@db.example/tokens?connect_timeout=3&sslmode=verify-ca",
            "postgres://keeper@127.0.0.1:5432/tokens",
            "postgres://keeper@[::1]:5432/tokens",
            "postgres://keeper@localhost/tokens",
            "postgres://%2Frun%2Fpostgresql/tokens",
            "postgres://keeper@/tokens?host=/run/postgresql",
        ] {
            assert!(!parsed(url).goes_in_clear(), "{url}");
        }
    }

    #[test]
    fn parameters_are_added_behind_those_there_are() {
        let with = |url| DatabaseUrl::with_parameters(url, "a=1");
        assert_eq!(with("postgres://k:h?x@h/t"), "postgres://k:h?x@h/t?a=1");
        assert_eq!(with("postgres://h/t?b=2"), "postgres://h/t?b=2&a=1");
    }
}

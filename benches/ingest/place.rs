//! Where a server keeps its data: a SQLite file, or a database of a PostgreSQL that is there for the bench alone.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, SqliteConnection, sql_query};
use tempfile::TempDir;

use crate::server::{cpu_of, keys};

pub enum Place<'a> {
    Sqlite(TempDir),
    Postgres(&'a Cluster, String),
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

impl Place<'_> {
    /// A new SQLite file.
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a folder"))
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(..) => "PostgreSQL",
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => folder.path().join("bench.db").display().to_string(),
            Self::Postgres(cluster, name) => cluster.url(name),
        }
    }

    /// The numbers of a query whose one column is called `value`.
    pub fn numbers(&self, query: &str) -> Vec<i64> {
        let url = self.url();
        let rows: Vec<Row> = match self {
            Self::Sqlite(_) => {
                let mut c = SqliteConnection::establish(&url).expect("its database");
                c.batch_execute("PRAGMA busy_timeout = 5000")
                    .expect("its database");
                sql_query(query).load(&mut c).expect("numbers")
            }
            Self::Postgres(..) => {
                let mut c = PgConnection::establish(&url).expect("its database");
                sql_query(query).load(&mut c).expect("numbers")
            }
        };
        rows.into_iter().map(|row| row.value).collect()
    }

    /// A new key of a role for the API.
    pub fn api_key(&self, role: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
        command.args(["api-keys", "create", "--role", role, "--name", role]);
        command.arg("--keys").arg(keys());
        let made = command.env("DATABASE_URL", self.url()).output();
        let made = String::from_utf8(made.expect("a command").stdout);
        made.expect("a key").trim().to_owned()
    }

    /// How many deliveries wait to be decided.
    pub fn waiting(&self) -> i64 {
        self.numbers("SELECT count(*) AS value FROM deliveries WHERE state = 'waiting'")[0]
    }

    /// Whether any delivery waits: asked often, so it looks at no more than one.
    pub fn is_waiting(&self) -> bool {
        let one = "SELECT sequence AS value FROM deliveries WHERE state = 'waiting' LIMIT 1";
        !self.numbers(one).is_empty()
    }

    /// Seconds of CPU that the database's own processes have spent.
    pub fn cpu(&self) -> f64 {
        match self {
            Self::Sqlite(_) => 0.0,
            Self::Postgres(cluster, _) => cluster.cpu(),
        }
    }
}

/// A PostgreSQL of the bench's own, synchronous as it comes; gone when dropped.
pub struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    made: AtomicUsize,
}

impl Cluster {
    /// Starts one; none where its programs are missing.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().expect("a folder");
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let owner = is_root.then(owner);
        if let Some((user, group)) = owner {
            chown(folder.path(), Some(user), Some(group)).expect("a folder of its own");
        }
        let it = Self {
            folder,
            programs,
            owner,
            made: AtomicUsize::new(0),
        };
        it.run("initdb", &["-U", "tokenkeep", "-A", "trust", "-E", "UTF8"]);
        let socket = it.folder.path().display();
        let options = format!("-c listen_addresses='' -c unix_socket_directories='{socket}'");
        let log = it.folder.path().join("log").display().to_string();
        it.run("pg_ctl", &["-w", "-s", "-l", &log, "-o", &options, "start"]);
        Some(it)
    }

    /// A new database.
    pub fn database(&self) -> Place<'_> {
        let name = format!("bench{}", self.made.fetch_add(1, Ordering::Relaxed));
        let mut c = PgConnection::establish(&self.url("postgres")).expect("PostgreSQL");
        c.batch_execute(&format!("CREATE DATABASE {name}"))
            .expect("a database");
        Place::Postgres(self, name)
    }

    fn url(&self, name: &str) -> String {
        let socket = self.folder.path().display();
        format!("postgres://tokenkeep@/{name}?host={socket}")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command.arg("-D").arg(self.data()).args(arguments);
        command.env("LC_ALL", "C").current_dir("/");
        // PostgreSQL refuses to run as root.
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(status.expect("a program").success(), "{program}");
    }

    /// Of the server and of every process that it has started, also of those that have ended.
    fn cpu(&self) -> f64 {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid"));
        let file = file.expect("a running server");
        let server = file.lines().next().unwrap_or_default();
        let children = format!("/proc/{server}/task/{server}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let living: f64 = children.split_whitespace().map(cpu_of).sum();
        cpu_of(server) + ended(server) + living
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-m", "immediate", "-s", "stop"]);
    }
}

/// Seconds of CPU of the children that a process has waited for.
fn ended(process: &str) -> f64 {
    crate::server::ticks(process, [13, 14])
}

fn programs() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let installed = versions.flatten().map(|entry| entry.path().join("bin"));
    let mut all = told.into_iter().chain(installed);
    all.find(|folder| folder.join("initdb").is_file())
}

/// The user `postgres`, or else `nobody`.
fn owner() -> (u32, u32) {
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let of = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse::<u32>);
        Some((fields.next()?.ok()?, fields.next()?.ok()?))
    };
    of("postgres").or_else(|| of("nobody")).expect("a user")
}

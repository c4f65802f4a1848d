//! The operator's guide about a new machine: installed as it is written, as root, in places that only this
//! test sees.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use rstest::rstest;

use crate::support::database::alone_with_users;
use crate::support::guide::{blocks, printed_by, section};
use crate::support::stage::{GUIDE, addresses, free_addresses};
use crate::support::{Backend, TestDatabase, leaks};

/// What stands in for a person at the keyboard, the build and systemd. The rest is done as it is written, on
/// a copy of /etc and in empty folders, which are gone with the process.
const STAND_INS: &str = r#"
mount -t tmpfs none "$PLACES"
cp -a /etc "$PLACES/etc" && mount --bind "$PLACES/etc" /etc
mkdir -p "$PLACES/bin" /etc/systemd/system && mount --bind "$PLACES/bin" /usr/local/bin
mount -t tmpfs none /var/lib && umask 022
cargo() { :; }
editor() {
  local file
  for file in "$@"; do
    if [ -e "$MADE/$file" ]; then cat "$MADE/$file" > "$file"; fi
  done
}
psql() {
  case "$*" in *password*) ;; *) command psql "$@" ;; esac
}
systemctl() {
  local start
  start=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/tokenkeep.service)
  (set -a; . /etc/tokenkeep/environment; cd / && umask 077
   exec runuser -u tokenkeep -- $start > "$MADE/serve.log" 2>&1) &
}
"#;

/// What is true afterwards, in a new shell of root's.
const AFTERWARDS: &str = r#"
curl -fsS --retry 20 --retry-all-errors --retry-delay 1 "$API/readyz" > /dev/null
tokenkeep check
stat -c '%U:%G %a %n' environment pgpass keys/storage/*
if [ -e /var/lib/tokenkeep/tokenkeep.db ]; then stat -c '%U %a' /var/lib/tokenkeep/tokenkeep.db; fi
ls
"#;

/// The blocks for an administrator below a heading, without what is for the other database.
fn commands(heading: &str, other: &str) -> String {
    let blocks = blocks(&section(GUIDE, heading)).into_iter();
    let blocks = blocks.filter(|(language, _)| language == "console");
    let lines = blocks.map(|(_, lines)| lines.join("\n"));
    Vec::from_iter(lines.filter(|lines| !lines.contains(other))).join("\n")
}

/// Whether this may be done here at all.
fn may_install() -> bool {
    let mut unshare = Command::new("unshare");
    let may = unshare.args(["--mount", "true"]).stderr(Stdio::null());
    may.status().is_ok_and(|status| status.success())
}

/// What a person would write, and what would have been built.
fn prepare(made: &Path, database_url: &str) -> String {
    let [receiver, api] = free_addresses();
    let settings = format!(
        "environment = \"production\"\nlisten = \"{receiver}\"\napi_listen = \"{api}\"\n\
         [receiver.proxy]\ntrusted = [\"127.0.0.1/32\"]\n"
    );
    fs::write(made.join("tokenkeep.toml"), settings).unwrap();
    let environment = format!("DATABASE_URL='{database_url}'\n");
    fs::write(made.join("environment"), environment).unwrap();
    fs::create_dir_all(made.join("target/release")).unwrap();
    let program = env!("CARGO_BIN_EXE_tokenkeep");
    symlink(program, made.join("target/release/tokenkeep")).unwrap();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    symlink(deploy, made.join("deploy")).unwrap();
    format!("http://{api}")
}

#[rstest]
fn a_service_installed_by_the_guide_runs_in_production_on_files_that_are_its_own(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    if !may_install() {
        println!("SKIPPED: to install by the guide needs root, and the right to mount");
        return;
    }
    let made = tempfile::tempdir().unwrap();
    let places = tempfile::tempdir().unwrap();
    let database = TestDatabase::new(backend);
    let [owner, app] = addresses(&database);
    let (url, other) = match backend {
        Backend::Sqlite => ("/var/lib/tokenkeep/tokenkeep.db", "psql"),
        Backend::Postgres => (&*app, "/var/lib/tokenkeep"),
    };
    let api = prepare(made.path(), url);
    let install = commands("Install and start", other);
    let begin = commands("Before you begin", "\0").replace("sudo -i\n", "");
    let begin = begin.replace("http://127.0.0.1:8081", &api);
    let _alone = alone_with_users();
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--kill-child", "bash"]);
    let output = unshare
        .args(["-euo", "pipefail", "-c"])
        .arg(format!("{STAND_INS}\n{install}\n{begin}\n{AFTERWARDS}"))
        .current_dir(made.path())
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", "/root")
        .env("MADE", made.path())
        .env("PLACES", places.path())
        .env("OWNER", owner)
        .env("ADMIN", database.url())
        .output()
        .unwrap();
    let log = fs::read_to_string(made.path().join("serve.log")).unwrap_or_default();
    leaks::keep("serve", log.as_bytes());
    let printed = printed_by(&log, output);
    for promised in [
        "root:tokenkeep 640 environment",
        "tokenkeep:root 600 pgpass",
        "root:tokenkeep 640 keys/storage/",
        "can be used, deliveries that wait: 0",
    ] {
        assert!(printed.contains(promised), "{promised}: {printed}");
    }
    let file = printed.contains("\ntokenkeep 600\n");
    assert_eq!(file, backend == Backend::Sqlite, "{printed}");
    assert!(!printed.contains("\ntokenkeep.db"), "{printed}");
}

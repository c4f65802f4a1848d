//! A `serve` process of the issuer's and the bank's programs that logs everything it can, and whatever
//! it answered.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use tokenkeep::api::access::AccessRole;
use tokenkeep::sandbox::Sandbox;
use tokenkeep::telemetry::Clock;

use super::calls::sandbox;
use super::issuer::settings_file;
use super::raw::{Reply, exchange};
use super::{App, Backend, keys, wait_until};

/// The process, its database and its other side.
pub struct Watched {
    /// Stopped: it stands for the database.
    pub app: App,
    pub sandbox: Sandbox,
    log: NamedTempFile,
    child: Child,
    api: SocketAddr,
    keys: [String; 2],
    /// Heads and bodies of all answers.
    pub replies: Vec<String>,
    _settings: NamedTempFile,
}

impl Watched {
    pub fn start(backend: Backend) -> Self {
        let mut app = App::spawn(backend);
        let keys_of = [AccessRole::App, AccessRole::Ops]
            .map(|role| app.new_key(role, &format!("watched-{}", role.name())));
        app.stop();
        let sandbox = sandbox(Clock::system(), |_| {});
        let settings = settings_file(&sandbox);
        let log = NamedTempFile::new().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tokenkeep"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--api-listen", "127.0.0.1:0"])
            .env("DATABASE_URL", app.database.url())
            .env("TOKENKEEP_KEYS", keys())
            .env("TOKENKEEP_CONFIG", settings.path())
            .env("RUST_LOG", "trace")
            .stderr(Stdio::from(log.reopen().unwrap()))
            .spawn()
            .unwrap();
        let mut api = None;
        wait_until("the service listens", || {
            let text = fs::read_to_string(log.path()).unwrap();
            let rest = text.split_once("the API is on http://");
            let address = rest.and_then(|(_, rest)| rest.split_once('\n'));
            api = address.and_then(|(address, _)| address.trim().parse().ok());
            api.is_some()
        });
        Self {
            api: api.unwrap(),
            keys: keys_of,
            replies: Vec::new(),
            app,
            sandbox,
            log,
            child,
            _settings: settings,
        }
    }

    /// Asks as the merchant's app, or as operators where only they may.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Reply {
        let [app, ops] = &self.keys;
        let needs_ops = path.starts_with("/v1/outbox") || path.starts_with("/v1/notifications");
        let key = if needs_ops { ops } else { app };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        let reply = exchange(self.api, request).expect("an answer");
        self.replies.push(format!("{}\n{}", reply.head, reply.body));
        reply
    }

    /// Waits until no call waits or is under way; a failed one is made again at once.
    pub fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(40);
        let open = "SELECT count(*) AS number FROM outbox WHERE state IN ('waiting', 'running')";
        while self.app.database.number(open) > 0 {
            assert!(Instant::now() < deadline, "calls are still open");
            let now = "UPDATE outbox SET next_at = 0 WHERE state = 'waiting' AND next_at > 0";
            self.app.database.execute(now);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL.
    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// All that was logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

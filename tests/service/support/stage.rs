//! A service in a folder as docs/operations.md describes it, on this machine, with a sandbox in
//! Mastercard's place; and the guide's commands run there as they are written.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use tokenkeep::sandbox::{NewCard, Refresh, Sandbox, SandboxSettings};
use tokenkeep::store::{DatabaseUrl, Store};

use super::certificates::rsa_key;
use super::commands::{Output, run};
use super::database::alone_with_users;
use super::guide::{self, Step};
use super::raw::exchange;
use super::sql::sql;
use super::{Answer, Backend, Client, TestDatabase, leaks, wait_until};

pub const GUIDE: &str = "docs/operations.md";
/// The payload key that is there from the beginning.
pub const KID: &str = "payload-2026";
const PROGRAM: &str = env!("CARGO_BIN_EXE_tokenkeep");

/// The folder, its service and its other side.
pub struct Stage {
    folder: TempDir,
    pub database: TestDatabase,
    pub sandbox: Sandbox,
    pub receiver: SocketAddr,
    api: SocketAddr,
    client: Client,
    /// What the guide tells its readers to set.
    variables: Vec<(String, String)>,
    payments: String,
}

impl Stage {
    /// A service that runs.
    pub fn open(backend: Backend) -> Self {
        let mut stage = Self::set(backend);
        stage.settings("", "");
        stage.start();
        stage
    }

    /// The folder with its keys; no settings yet, and nothing runs.
    pub fn set(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::new(backend);
        let [receiver, api] = free_addresses();
        let [owner, app] = addresses(&database);
        if backend == Backend::Postgres {
            database.make_users();
            Store::migrate(&DatabaseUrl::parse(&owner).unwrap()).unwrap();
            database.make_users();
        }
        let environment = format!("DATABASE_URL='{app}'\n");
        fs::write(folder.path().join("environment"), environment).unwrap();
        let roles = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/postgres/roles.sql");
        fs::copy(roles, folder.path().join("roles.sql")).unwrap();
        let keys = folder.path().join("keys");
        let generate = ["keys", "generate", "--bits", "2048", "--kid", KID, "--keys"];
        let mut generate = program(folder.path(), &generate);
        let made = run(generate.arg(&keys).env("DATABASE_URL", database.url()), "");
        assert_eq!(made.code, 0, "{made:?}");
        fs::create_dir_all(keys.join("signing")).unwrap();
        let signing = rsa_key(2048).private_key_to_pem_pkcs8().unwrap();
        fs::write(keys.join("signing/shop.pem"), signing).unwrap();
        let sandbox = Sandbox::start(SandboxSettings {
            signing_key: "signing/shop.pem".into(),
            send_to: Some(format!("http://{receiver}/notifications/card")),
            ..SandboxSettings::new(keys)
        });
        let variables = [
            ("API", format!("http://{api}")),
            ("OWNER", owner),
            ("ADMIN", database.url()),
        ];
        Self {
            folder,
            database,
            sandbox: sandbox.unwrap(),
            receiver,
            api,
            client: Client::new(),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            payments: String::new(),
        }
    }

    /// Writes `tokenkeep.toml`: some settings that stand alone, and some tables.
    pub fn settings(&self, alone: &str, tables: &str) {
        let (receiver, api) = (self.receiver, self.api);
        let base_url = self.sandbox.base_url();
        let verification_url = self.sandbox.verification_url();
        let settings = format!(
            "listen = \"{receiver}\"\napi_listen = \"{api}\"\n{alone}\n[programs.shop]\n\
             kind = \"mastercard-checkout\"\nbase_url = \"{base_url}\"\n\
             verification_url = \"{verification_url}\"\n\
             src_client_id = \"11111111-1111-4111-8111-111111111111\"\n\
             service_id = \"SECURE_COF_MERCHANT#START_COF-UPN2#01\"\n\
             consumer_key = \"sandbox\"\nsigning_key = \"signing/shop.pem\"\n\
             # What is told within a second counts as in its order.\n\
             [dispatcher]\nclock_skew = 0\n{tables}"
        );
        self.put("tokenkeep.toml", settings.as_bytes());
    }

    /// Starts the service as the guide does, and makes an API key.
    pub fn start(&mut self) {
        self.systemctl("start");
        if self.payments.is_empty() {
            let create = [
                "api-keys", "create", "--role", "payments", "--name", "payments",
            ];
            self.payments = self.tokenkeep(&create).stdout.trim().to_owned();
        }
    }

    /// Starts, stops or restarts the service, and waits until it answers if it is to.
    pub fn systemctl(&self, what: &str) {
        self.bash(&format!("systemctl {what} tokenkeep"));
        if what != "stop" {
            self.wait_for_start();
        }
    }

    fn wait_for_start(&self) {
        let livez = format!("http://{}/livez", self.api);
        wait_until("the service answers", || {
            let answer = self.client.try_get(&livez, "");
            answer.is_ok_and(|answer| answer.status == 200)
        });
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file into the folder.
    pub fn put(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Sets a variable that the guide tells its readers to set.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The steps below a heading of the guide.
    pub fn steps<const N: usize>(&self, heading: &str) -> [Step; N] {
        guide::steps(GUIDE, heading)
    }

    /// Runs a step as it is written; it must print what the guide promises. Returns what it printed.
    pub fn take(&self, step: &Step) -> String {
        let printed = self.bash(&step.commands);
        if let Some(promised) = step.missing(&printed) {
            panic!("promised: {promised}\nprinted:\n{printed}");
        }
        printed
    }

    /// The same for a step that only looks: as a person does, again until it is as promised.
    pub fn look(&self, step: &Step) -> String {
        let mut printed = String::new();
        wait_until("it is as the guide promises", || {
            printed = self.bash(&step.commands);
            step.missing(&printed).is_none()
        });
        printed
    }

    /// Runs commands as an operator does; returns what they printed.
    fn bash(&self, commands: &str) -> String {
        let _alone = commands.contains("roles.sql").then(alone_with_users);
        let commands = format!("set -a; . ./environment; set +a\n{commands}");
        guide::run(&commands, self.folder.path(), &self.variables)
    }

    /// What the service has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("serve.log")).unwrap_or_default()
    }

    /// Runs the program in the folder.
    pub fn attempt(&self, arguments: &[&str]) -> Output {
        let mut command = program(self.folder.path(), arguments);
        run(command.env("DATABASE_URL", self.database.url()), "")
    }

    /// The same for what must succeed.
    pub fn tokenkeep(&self, arguments: &[&str]) -> Output {
        let output = self.attempt(arguments);
        assert_eq!(output.code, 0, "{output:?}");
        output
    }

    /// A card that Mastercard has told of, with a token.
    pub fn card(&self, id: &str) {
        let (id, id_of) = (id.to_owned(), id);
        let new = NewCard {
            id: Some(id),
            ..NewCard::default()
        };
        self.sandbox.create_card(new).unwrap();
        self.sandbox.refresh(id_of, Refresh::Nothing).unwrap();
        wait_until("the card is known", || self.may_charge(id_of));
    }

    /// Posts a notification as Mastercard would; returns the answer's status.
    pub fn post(&self, body: &Value) -> u16 {
        let url = format!("http://{}/notifications/card", self.receiver);
        self.client.post(&url, &body.to_string()).status
    }

    /// Posts one that must be kept, and waits until it is decided.
    pub fn deliver(&self, body: &Value) {
        assert_eq!(self.post(body), 204);
        wait_until("it is decided", || sql(&self.database).is_settled());
    }

    pub fn get(&self, path: &str) -> Answer {
        self.client
            .get(&format!("http://{}{path}", self.api), &self.payments)
    }

    /// Whether the card may be charged, as the shop's systems are told.
    pub fn may_charge(&self, card: &str) -> bool {
        let answer = self.get(&format!("/v1/cards/{card}/readiness"));
        answer.status == 200 && answer.json()["mayCharge"] == Value::Bool(true)
    }

    /// Whether the shop gets credentials to charge the card with.
    pub fn charge(&self, card: &str) -> bool {
        let (key, body) = (&self.payments, r#"{"use":"single"}"#);
        let request = format!(
            "POST /v1/cards/{card}/credentials HTTP/1.1\r\nHost: test\r\n\
             Authorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let reply = exchange(self.api, request).expect("an answer");
        reply.status == 200 && reply.json()["cryptogram"].is_string()
    }

    /// The one notification with this verdict.
    pub fn item(&self, verdict: &str) -> String {
        let list = ["notifications", "list", "--json", "--verdict", verdict];
        let list = self.tokenkeep(&list).json();
        assert_eq!(
            list["notifications"].as_array().map(Vec::len),
            Some(1),
            "{list}"
        );
        list["notifications"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The values that a query gives as `text`.
    pub fn texts(&self, query: &str) -> Vec<String> {
        sql(&self.database).texts(query)
    }

    /// The one value that a query gives as `text`.
    pub fn text(&self, query: &str) -> String {
        let mut texts = self.texts(query);
        assert_eq!(texts.len(), 1, "{query}: {texts:?}");
        texts.remove(0)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        leaks::keep("serve", self.log().as_bytes());
        if let Ok(id) = fs::read_to_string(self.path("serve.pid")) {
            let _ = Command::new("kill").args(["-KILL", id.trim()]).output();
        }
    }
}

/// The addresses of a database for the user that migrates and the one that serves; a file knows no users.
pub fn addresses(database: &TestDatabase) -> [String; 2] {
    ["tokenkeep_owner", "tokenkeep_app"].map(|user| database.url_as(user))
}

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .current_dir(folder)
        .env("RUST_LOG", "error");
    command
}

/// Two addresses of this machine that nobody listens at.
pub fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

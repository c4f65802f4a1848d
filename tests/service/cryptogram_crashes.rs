//! P-02: a process that dies while it hands a cryptogram out has at most one reader for it.

use std::collections::HashSet;
use std::time::Duration;

use rstest::rstest;
use tokenkeep::sandbox::{NewCard, Refresh, Sandbox};
use tokenkeep::telemetry::Clock;

use crate::support::build::{CARD, NUMBER_1, plain, refresh};
use crate::support::calls::{sandbox, serve};
use crate::support::commands::tokenkeep;
use crate::support::raw::{Connection, Reply, exchange};
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::{App, Backend, Client, START, TestDatabase, is_full, wait_until};

const SINGLE: &str = r#"{"use":"single"}"#;
/// Longer than a cryptogram takes to be read, shorter than it then takes to be marked.
const IN_BETWEEN: Duration = Duration::from_millis(1_200);

/// A commit that took a cryptogram out fails: every statement before it was good.
fn fail_commits(database: &TestDatabase) {
    let then = "INSERT INTO refused_at_commit VALUES (1)";
    sql(database).execute(
        "CREATE TABLE never_filled (id INTEGER PRIMARY KEY); \
         CREATE TABLE refused_at_commit \
             (id INTEGER REFERENCES never_filled (id) DEFERRABLE INITIALLY DEFERRED)",
    );
    on_taking(database, then, then);
}

/// What follows after a cryptogram was taken out goes on for seconds.
fn delay_marks(database: &TestDatabase) {
    let much = "SELECT count(*) FROM sqlite_master AS a, sqlite_master AS b, sqlite_master AS c, \
                sqlite_master AS d, sqlite_master AS e";
    on_taking(database, much, "PERFORM pg_sleep(20)");
}

/// What the database does besides when a cryptogram is taken out.
fn on_taking(database: &TestDatabase, on_sqlite: &str, on_postgres: &str) {
    sql(database).execute(&match database {
        TestDatabase::Sqlite { .. } => {
            format!("CREATE TRIGGER taken AFTER DELETE ON cryptograms BEGIN {on_sqlite}; END")
        }
        TestDatabase::Postgres { .. } => format!(
            "CREATE FUNCTION taken() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN {on_postgres}; RETURN NULL; END $$; \
             CREATE TRIGGER taken AFTER DELETE ON cryptograms FOR EACH ROW EXECUTE FUNCTION taken()"
        ),
    });
}

fn nothing_on_taking(database: &TestDatabase) {
    sql(database).execute(match database {
        TestDatabase::Sqlite { .. } => "DROP TRIGGER taken",
        TestDatabase::Postgres { .. } => "DROP TRIGGER taken ON cryptograms; DROP FUNCTION taken",
    });
}

#[rstest]
fn p02_where_the_commit_fails_nobody_gets_the_cryptogram_until_one_succeeds(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = app.new_key(tokenkeep::api::access::AccessRole::Payments, "payments");
    app.deliver(&plain(&[refresh(CARD, START, NUMBER_1, ("12", "2031"))]));
    app.store_cryptogram(CARD);
    let path = format!("/v1/cards/{CARD}/credentials");
    fail_commits(&app.database);
    for _ in 0..5 {
        let reply = app.send("POST", &path, &key, SINGLE);
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert!(!reply.body.contains(crate::canaries::CRYPTOGRAM));
    }
    nothing_on_taking(&app.database);
    let readers = (0..5).filter(|_| {
        let reply = app.send("POST", &path, &key, SINGLE);
        reply.status == 200 && reply.json()["cryptogram"] == crate::canaries::CRYPTOGRAM
    });
    assert_eq!(readers.count(), 1);
    println!("P-02 on {backend:?}: 5 commits failed: 0 readers; afterwards 1 of 5");
}

/// A service of its own process, and the other side.
struct Killing {
    database: TestDatabase,
    sandbox: Sandbox,
    serve: Serve,
    key: String,
    /// Every cryptogram that anybody got.
    given: HashSet<String>,
}

impl Killing {
    fn new(backend: Backend) -> Self {
        let database = TestDatabase::new(backend);
        let sandbox = sandbox(Clock::system(), |_| {});
        let serve = serve(&database, &sandbox, "");
        let create = ["api-keys", "create", "--role", "payments", "--name", "pays"];
        let key = tokenkeep(&database, &create).stdout.trim().to_owned();
        Self {
            database,
            sandbox,
            serve,
            key,
            given: HashSet::new(),
        }
    }

    /// A new card with a cryptogram that is kept; returns it.
    fn card(&self, id: &str) -> String {
        let new = NewCard {
            id: Some(id.to_owned()),
            ..NewCard::default()
        };
        self.sandbox.create_card(new).unwrap();
        let body = self.sandbox.refresh(id, Refresh::Nothing).unwrap();
        let answer = Client::new().post(&self.serve.url, &body.to_string());
        assert_eq!(answer.status, 204);
        wait_until("the cryptogram is kept", || self.is_kept(id));
        let issued = self.sandbox.issued(id);
        issued.last().unwrap().cryptogram.expose().to_owned()
    }

    fn is_kept(&self, id: &str) -> bool {
        let query = format!("SELECT count(*) AS number FROM cryptograms WHERE card_id = '{id}'");
        self.database.number(&query) == 1
    }

    fn request(&self, id: &str) -> String {
        format!(
            "POST /v1/cards/{id}/credentials HTTP/1.1\r\nHost: test\r\n\
             Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{SINGLE}",
            self.key,
            SINGLE.len()
        )
    }

    fn restart(&mut self) {
        self.serve.kill();
        self.serve = serve(&self.database, &self.sandbox, "");
    }

    /// Takes down what somebody got.
    fn note(&mut self, reply: &Reply) {
        if reply.status == 200 {
            let value = reply.json()["cryptogram"].as_str().unwrap().to_owned();
            assert!(self.given.insert(value), "a second reader");
        }
    }

    /// Asks until somebody gets one: the claims of the dead process may stand in the way.
    fn ask_on(&mut self, id: &str) {
        self.database
            .execute("UPDATE outbox SET lease_until = 0 WHERE state = 'running'");
        let given = self.given.len();
        while self.given.len() == given {
            let reply = exchange(self.serve.api, self.request(id)).unwrap();
            self.note(&reply);
        }
    }
}

#[rstest]
fn p02_killed_between_reading_and_marking_the_cryptogram_has_one_reader_after_the_restart(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut killing = Killing::new(backend);
    let kept = killing.card("killed");
    delay_marks(&killing.database);
    let mut caller = Connection::open(killing.serve.api);
    caller.send(killing.request("killed"));
    assert!(
        caller.reply_within(IN_BETWEEN).is_none(),
        "it is still read"
    );
    killing.restart();
    assert!(caller.reply().is_none(), "the caller got nothing");
    assert!(killing.is_kept("killed"), "nothing is marked");
    nothing_on_taking(&killing.database);
    killing.ask_on("killed");
    assert!(killing.given.contains(&kept), "now it has its one reader");
    killing.ask_on("killed");
    println!("P-02 on {backend:?}: killed between read and mark: 0 readers; afterwards 1");
}

#[rstest]
fn p02_killed_at_any_moment_no_cryptogram_has_two_readers(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let kills = if is_full() { 50 } else { 5 };
    let mut killing = Killing::new(backend);
    let mut answered = 0;
    for kill in 0..kills {
        let id = format!("card-{kill}");
        killing.card(&id);
        let mut callers = [(); 4].map(|()| Connection::open(killing.serve.api));
        for caller in &mut callers {
            caller.send(killing.request(&id));
        }
        // From before the first is served until after the first is.
        std::thread::sleep(Duration::from_millis(kill * 13 % 60));
        killing.restart();
        for caller in &mut callers {
            if let Some(reply) = caller.reply() {
                killing.note(&reply);
                answered += 1;
            }
        }
        killing.ask_on(&id);
        killing.ask_on(&id);
        assert!(!killing.is_kept(&id), "{id}: somebody has taken it");
    }
    let given = killing.given.len();
    println!(
        "P-02 on {backend:?}: {kills} kills among 4 callers each, {answered} answered before: \
         {given} cryptograms given, 0 twice"
    );
}

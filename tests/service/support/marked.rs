//! Deliveries with a mark that is stored beside them, so that it can be told which of them are there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokenkeep::jose::StorageKeys;
use tokenkeep::settings::Settings;
use tokenkeep::store::{DatabaseUrl, Store};

use super::build::{NUMBER_1, plain, refresh, status};
use super::raw::{Connection, Reply};
use super::rebuilt::assert_rebuilt;
use super::serve::Serve;
use super::sql::sql;
use super::{START, TestDatabase, keys, wait_until};

/// A sender with a connection of its own.
pub struct Sender {
    name: String,
    connection: Connection,
    count: usize,
    /// The marks of what was answered 204.
    pub acknowledged: Vec<String>,
}

impl Sender {
    pub fn new(address: SocketAddr, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            connection: Connection::open(address),
            count: 0,
            acknowledged: Vec::new(),
        }
    }

    /// Its port at this end.
    pub fn port(&self) -> u16 {
        self.connection.port()
    }

    /// Sends a delivery of a new card; every fifth is a refresh.
    pub fn send(&mut self) -> Reply {
        self.send_padded(0)
    }

    /// The same with so many bytes more.
    pub fn send_padded(&mut self, padding: usize) -> Reply {
        let mark = format!("mark-{}-{}", self.name, self.count);
        let card = format!("card-{}-{}", self.name, self.count);
        let item = match self.count % 5 {
            0 => refresh(&card, START, NUMBER_1, ("12", "2031")),
            _ => status(&card, Some(START), "ACTIVE"),
        };
        let mut body = plain(&[item]);
        body["padding"] = "x".repeat(padding).into();
        let body = body.to_string();
        let length = body.len();
        self.count += 1;
        self.connection.send(format!(
            "POST /notifications/card HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
             X-Src-Response-Host: {mark}\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        let reply = self.connection.reply().expect("an answer");
        if reply.status == 204 {
            self.acknowledged.push(mark);
        }
        reply
    }
}

/// Waits until everything is decided, ends the service and judges: what was acknowledged is there once, decided
/// once, the cards are what they should be, and the database is whole. Returns how many were acknowledged.
pub fn nothing_is_lost(database: &TestDatabase, mut serve: Serve, senders: &[Sender]) -> usize {
    wait_until("all is decided", || sql(database).is_settled());
    serve.terminate();
    let mut kept = BTreeMap::<String, usize>::new();
    for mark in sql(database).texts("SELECT response_host AS text FROM deliveries") {
        *kept.entry(mark).or_default() += 1;
    }
    let acknowledged = senders.iter().flat_map(|sender| &sender.acknowledged);
    let mut count = 0;
    for mark in acknowledged {
        assert_eq!(kept.get(mark), Some(&1), "{mark}");
        count += 1;
    }
    let verdicts = "SELECT DISTINCT verdict AS text FROM notifications";
    assert_eq!(sql(database).texts(verdicts), ["applied"]);
    assert_eq!(sql(database).count("notifications"), kept.len());
    let integrity = "SELECT integrity_check AS text FROM pragma_integrity_check";
    assert_eq!(sql(database).texts(integrity), ["ok"]);
    let keys = StorageKeys::load(&keys()).unwrap().into();
    let store = Store::open(&DatabaseUrl::parse(&database.url()).unwrap(), keys).unwrap();
    assert_rebuilt(&store, Settings::defaults().unwrap().policy());
    count
}

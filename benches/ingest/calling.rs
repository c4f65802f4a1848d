//! Calls to the other side: Checkouts that fall due, and the credentials that they make ready.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenkeep::sandbox::{NewCard, Operation, Refresh, Sandbox, SandboxSettings};

use crate::load::{self, Requests};
use crate::notifications::posted;
use crate::place::Place;
use crate::server::{Server, keys, wait_until_drained};
use crate::{Bench, CONNECTIONS, Length, in_turn, row};

const AIM: f64 = 250.0;
/// More than this machine can do.
const UNLIMITED: u32 = 1_000;
const LIMIT: u32 = 100;
const WAITING: &str = "SELECT count(*) AS value FROM outbox WHERE state IN ('waiting', 'running')";

pub fn run(bench: &Bench) {
    println!("\nCalling the sandbox on this machine, whose work is on the same cores");
    let places = bench.cluster.iter().map(|cluster| cluster.database());
    for place in [Place::sqlite()].into_iter().chain(places) {
        checkouts(bench, &place);
    }
}

/// A program whose other side is the sandbox.
struct Shop {
    sandbox: Sandbox,
    folder: TempDir,
}

impl Shop {
    fn open() -> Self {
        let sandbox = Sandbox::start(SandboxSettings::new(keys())).expect("a sandbox");
        let folder = tempfile::tempdir().expect("a folder");
        Self { sandbox, folder }
    }

    /// `serve` with the program and its limit.
    fn serve(&self, roles: &str, place: &Place<'_>, rate: u32) -> Server {
        let file = self.folder.path().join("tokenkeep.toml");
        let service = SandboxSettings::new(keys()).service_id;
        let settings = format!(
            "[programs.shop]\nkind = \"mastercard-checkout\"\nbase_url = \"{}\"\n\
             src_client_id = \"11111111-1111-4111-8111-111111111111\"\nservice_id = \"{service}\"\n\
             consumer_key = \"bench\"\nsigning_key = \"signing/demo-signing.pem\"\nrate = {rate}\n",
            self.sandbox.base_url()
        );
        std::fs::write(&file, settings).expect("a settings file");
        let file = file.display().to_string();
        Server::start(roles, place, &[("TOKENKEEP_CONFIG", &file)])
    }

    /// Cards whose token and expiry change twice: with the second change a Checkout falls due.
    fn changes(&self, cards: usize) -> (Vec<String>, Vec<String>) {
        let mut bodies = Vec::new();
        let ids: Vec<String> = (0..cards)
            .map(|_| {
                self.sandbox
                    .create_card(NewCard::default())
                    .expect("a card")
                    .id
            })
            .collect();
        for _ in 0..2 {
            for id in &ids {
                let changed = self.sandbox.refresh(id, Refresh::NumberAndExpiry);
                bodies.push(changed.expect("a refresh").to_string());
            }
        }
        (ids, bodies)
    }
}

fn checkouts(bench: &Bench, place: &Place<'_>) {
    let cards = match bench.length {
        Length::Quick => 500,
        Length::Usual => 3_000,
        Length::Full => 10_000,
    };
    let shop = Shop::open();
    let (ids, bodies) = shop.changes(cards);
    let receiver = shop.serve("receive,process", place, UNLIMITED);
    let count = bodies.len();
    load::once(
        receiver.address,
        &posted(&in_turn(&bodies)),
        count,
        CONNECTIONS,
    );
    wait_until_drained(place);
    receiver.stop();

    let slow = shop.serve("dispatch", place, LIMIT);
    let most = most_in_a_second(&shop, cards / 5);
    row(
        &format!("most calls in a second at a limit of {LIMIT}"),
        most as f64,
        "never above it",
    );
    slow.stop();

    let before = place.numbers(WAITING)[0];
    let caller = shop.serve("dispatch", place, UNLIMITED);
    let begun = Instant::now();
    while place.numbers(WAITING)[0] > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    row(
        &format!("Checkouts on {}, calls/s", place.name()),
        before as f64 / begun.elapsed().as_secs_f64(),
        &format!("aim {AIM:.0}"),
    );
    row("  CPU per call, us", caller.cpu() * 1e6 / before as f64, "");
    credentials(&caller, place, &ids);
}

/// The most that came within any second.
fn most_in_a_second(shop: &Shop, wanted: usize) -> usize {
    let mut times: Vec<Instant> = Vec::new();
    while times.len() < wanted {
        let now = Instant::now();
        let calls = shop.sandbox.count(Operation::Checkout, None);
        times.resize(calls, now);
        std::thread::sleep(Duration::from_millis(1));
    }
    let within = |from: &Instant| {
        let ends = *from + Duration::from_secs(1);
        times
            .iter()
            .filter(|at| (*from..ends).contains(*at))
            .count()
    };
    times.iter().map(within).max().unwrap_or(0)
}

/// Each card's cryptogram, handed out once.
fn credentials(server: &Server, place: &Place<'_>, ids: &[String]) {
    let key = place.api_key("payments");
    let write = |number: usize, request: &mut Vec<u8>| {
        let id = &ids[number];
        let body = "{\"use\":\"single\"}";
        let length = body.len();
        let text = format!(
            "POST /v1/cards/{id}/credentials HTTP/1.1\r\nhost: bench\r\n\
             authorization: Bearer {key}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        request.extend_from_slice(text.as_bytes());
    };
    let requests = Requests {
        write: &write,
        status: "200",
    };
    let api = server.api.expect("an API");
    let rate = load::once(api, &requests, ids.len(), CONNECTIONS);
    row(
        &format!(
            "credentials with a ready cryptogram on {}, /s",
            place.name()
        ),
        rate,
        "aim 1000",
    );
}

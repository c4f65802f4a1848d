//! Reading beside the intake: what the merchant's app and payment service ask.

use std::time::Duration;

use crate::load::{self, Load, Pace, Requests};
use crate::notifications::posted;
use crate::place::Place;
use crate::server::{Server, wait_until_drained};
use crate::{Bench, CONNECTIONS, in_turn, row, statuses};

/// Deliveries a second that come in meanwhile.
const INTAKE: f64 = 500.0;
const AIM: f64 = 5_000.0;

pub fn run(bench: &Bench) {
    println!("\nReading, 64 connections, beside {INTAKE:.0}/s that are received and applied");
    let places = bench.cluster.iter().map(|cluster| cluster.database());
    for place in [Place::sqlite()].into_iter().chain(places) {
        of(bench, &place);
    }
}

fn of(bench: &Bench, place: &Place<'_>) {
    let server = Server::start("receive,process", place, &[]);
    let cards = bench.refreshes.len();
    let refreshes = in_turn(&bench.refreshes);
    load::once(server.address, &posted(&refreshes), cards, CONNECTIONS);
    wait_until_drained(place);
    let asked = [("app", "", "card"), ("payments", "/readiness", "readiness")];
    for (role, path, name) in asked {
        let key = place.api_key(role);
        let get = |number: usize, request: &mut Vec<u8>| {
            // By jumps: neighbours are on one page.
            let card = number.wrapping_mul(7_919) % cards;
            let head = format!(
                "GET /v1/cards/bench-card-{card:08}{path} HTTP/1.1\r\nhost: bench\r\n\
                 authorization: Bearer {key}\r\n\r\n"
            );
            request.extend_from_slice(head.as_bytes());
        };
        let (read, taken_in) = beside_intake(bench, &server, &get);
        row(
            &format!("{name} on {}, answers/s", place.name()),
            read.rate(),
            &format!(
                "aim {AIM:.0}; p99 {:.1} ms, {:.0} us of CPU",
                read.ms(99.0),
                read.cpu_us()
            ),
        );
        row("  received meanwhile, /s", taken_in.rate(), "");
    }
}

fn beside_intake(
    bench: &Bench,
    server: &Server,
    get: &(dyn Fn(usize, &mut Vec<u8>) + Sync),
) -> (Load, Load) {
    let gets = Requests {
        write: get,
        status: "200",
    };
    let api = server.api.expect("an API");
    let cpu = server.cpu();
    std::thread::scope(|scope| {
        let intake = scope.spawn(|| {
            let pace = Pace {
                connections: 16,
                rate: Some(INTAKE),
                ..bench.pace()
            };
            load::run(server.address, &posted(&statuses(10_000)), pace)
        });
        std::thread::sleep(Duration::from_millis(100));
        let mut read = load::run(api, &gets, bench.pace());
        let taken_in = intake.join().expect("the intake's load");
        read.cpu = server.cpu() - cpu;
        (read, taken_in)
    })
}

//! Acknowledgements: durable, over 64 connections, as fast as they come.

use std::time::{Duration, Instant};

use crate::load::Pace;
use crate::place::Place;
use crate::server::Server;
use crate::{Bench, Length, Writer, in_turn, row, statuses};

/// Shares of what the server library does without a store.
const AIM_RECEIVING: f64 = 0.35;
const AIM_PROCESSING: f64 = 0.30;

pub fn run(bench: &Bench) {
    println!("\nAcknowledgements, durable (SQLite, synchronous=FULL), 64 connections");
    let (status, refresh) = (statuses(1_000_000), in_turn(&bench.refreshes));
    let bodies: [(&str, &Writer<'_>); 2] = [("status", &status), ("refresh", &refresh)];
    for (name, body) in bodies {
        one(
            bench,
            &format!("{name}, receive only"),
            "receive",
            body,
            AIM_RECEIVING,
        );
        let roles = "receive,process";
        one(
            bench,
            &format!("{name}, processing on"),
            roles,
            body,
            AIM_PROCESSING,
        );
    }
    memory(bench);
}

fn one(bench: &Bench, name: &str, roles: &str, body: &Writer<'_>, aim: f64) {
    let place = Place::sqlite();
    let server = Server::start(roles, &place, &[]);
    let load = bench.measure(&server, body, bench.pace());
    let ratio = load.rate() / bench.bare;
    row(
        &format!("{name}, acks/s"),
        load.rate(),
        &format!("{ratio:.2} of bare, aim {aim:.2}"),
    );
    let fsyncs = load.ms(99.0) / bench.fsync.1;
    row(
        "  p50 / p99 to the answer, ms",
        load.ms(50.0),
        &format!("/ {:.1}: {fsyncs:.1} x p99 of fsync, aim 5", load.ms(99.0)),
    );
    row("  server CPU per notification, us", load.cpu_us(), "");
    row("  peak memory, MB", server.peak_memory_mb(), "aim < 100");
    let waiting = place.waiting() as f64;
    if roles.contains("process") {
        let applied = (load.answers.len() as f64 - waiting) / load.seconds;
        row("  applied meanwhile, /s", applied, "");
    }
}

/// Whether memory grows.
fn memory(bench: &Bench) {
    let minutes = match bench.length {
        Length::Quick => return,
        Length::Usual => 1,
        Length::Full => 10,
    };
    let place = Place::sqlite();
    let server = Server::start("receive,process", &place, &[]);
    let cards = statuses(10_000);
    let begun = Instant::now();
    let mut held = Vec::new();
    while begun.elapsed() < Duration::from_secs(60 * minutes) {
        let pace = Pace {
            rate: Some(2_000.0),
            lasts: Duration::from_secs(10),
            ..bench.pace()
        };
        bench.measure(&server, &cards, pace);
        held.push(server.memory_now_mb());
    }
    let (first, last) = (held[0], held[held.len() - 1]);
    row(
        &format!("memory after 10 s / {minutes} min at 2,000/s, MB"),
        first,
        &format!("/ {last:.1}"),
    );
}

//! Applying: opening, deciding and writing what waits.

use std::time::Instant;

use crate::load::{self, Pace, percentile};
use crate::notifications::posted;
use crate::place::Place;
use crate::server::{Server, wait_until_drained};
use crate::{Bench, CONNECTIONS, Length, Writer, in_turn, row, statuses};

pub fn run(bench: &Bench) {
    println!("\nApplying");
    let places = bench.cluster.iter().map(|cluster| cluster.database());
    for place in [Place::sqlite()].into_iter().chain(places) {
        refreshes(bench, &place);
    }
    let beside = status_backlog(bench);
    time_to_applied(bench, beside);
}

/// Lets a receiver take these in, and ends it.
fn preload(place: &Place<'_>, write: &Writer<'_>, count: usize) -> f64 {
    let receiver = Server::start("receive", place, &[]);
    load::once(receiver.address, &posted(write), count, CONNECTIONS)
}

/// Refreshes opened and applied from a backlog that waits when the processor starts.
fn refreshes(bench: &Bench, place: &Place<'_>) {
    let count = bench.refreshes.len();
    preload(place, &in_turn(&bench.refreshes), count);
    let database = place.cpu();
    let processor = Server::start("process", place, &[]);
    let seconds = wait_until_drained(place).as_secs_f64();
    let rate = count as f64 / seconds;
    let (name, ratio) = (place.name(), rate / bench.opens.rate);
    row(
        &format!("refreshes from a backlog on {name}, applied/s"),
        rate,
        &format!("{ratio:.2} of bare opens, aim 0.70"),
    );
    let each = |cpu: f64| cpu * 1e6 / count as f64;
    let cpu = each(processor.cpu());
    let ratio = cpu / bench.opens.cpu_us;
    row(
        "  CPU per refresh, us",
        cpu,
        &format!("{ratio:.2} of a bare open, aim 1.30"),
    );
    if matches!(place, Place::Postgres(..)) {
        row(
            "  PostgreSQL's CPU per refresh, us",
            each(place.cpu() - database),
            "",
        );
    }
    row("  peak memory, MB", processor.peak_memory_mb(), "aim < 100");
}

/// Statuses applied from a backlog while new ones are accepted; returns how many a second.
fn status_backlog(bench: &Bench) -> f64 {
    let count = match bench.length {
        Length::Quick => 20_000,
        Length::Usual => 100_000,
        Length::Full => 1_000_000,
    };
    let place = Place::sqlite();
    let write = statuses(1_000_000);
    let alone = preload(&place, &write, count);
    let server = Server::start("receive,process", &place, &[]);
    // Behind those that are there.
    let further = |number: usize, request: &mut Vec<u8>| write(count + number, request);
    let before = place.waiting();
    let begun = Instant::now();
    let slow = Pace {
        rate: Some(1_000.0),
        lasts: bench.run_time(),
        ..bench.pace()
    };
    let load = bench.measure(&server, &further, slow);
    let seconds = begun.elapsed().as_secs_f64();
    let applied = (before - place.waiting() + load.answers.len() as i64) as f64 / seconds;
    row(
        "statuses from a backlog beside 1,000/s accepted, /s",
        applied,
        "aim 8,000",
    );
    let memory = server.memory_now_mb();
    let beside = bench.measure(&server, &further, bench.pace()).rate();
    let share = beside / alone;
    row(
        "accepted beside the backlog, acks/s",
        beside,
        &format!("{share:.2} of those without processing, aim 0.50"),
    );
    let left = place.waiting();
    let seconds = wait_until_drained(&place).as_secs_f64();
    row(
        &format!("backlog of {count} drained at the end, /s"),
        left as f64 / seconds,
        "",
    );
    row(
        "  memory at its beginning / in the end, MB",
        memory,
        &format!("/ {:.1}", server.memory_now_mb()),
    );
    applied
}

/// From the answer to the verdict, at half of what can be applied.
fn time_to_applied(bench: &Bench, can_be_applied: f64) {
    let place = Place::sqlite();
    let server = Server::start("receive,process", &place, &[]);
    let pace = Pace {
        rate: Some(can_be_applied / 2.0),
        ..bench.pace()
    };
    bench.measure(&server, &statuses(100_000), pace);
    wait_until_drained(&place);
    let times = place.numbers("SELECT decided_at - received_at AS value FROM notifications");
    let times: Vec<f64> = times.into_iter().map(|time| time as f64).collect();
    row(
        "status, receipt to applied p50 / p99 at half load, ms",
        percentile(&times, 50.0),
        &format!("/ {:.0}, aim 50", percentile(&times, 99.0)),
    );
}

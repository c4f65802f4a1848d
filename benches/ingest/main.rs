//! `cargo bench --bench ingest`: how fast notifications are kept, applied and read on this machine, and calls made,
//! beside this machine's own ceilings measured in the same run.
//!
//! The service is the built program in processes of its own, on a SQLite file or on a PostgreSQL that is there for
//! the bench alone; the load comes from this process over loopback, so all share the machine. Timings are noisy:
//! compare the ratios of one run. Names of parts behind `--` run those alone; `--full` runs everything to its full
//! length (an hour), `--quick` to a short one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may fail where it stands"
)]

mod acknowledging;
mod applying;
mod calling;
mod ceilings;
mod load;
mod notifications;
mod place;
mod reading;
mod server;

use std::time::Duration;

use ceilings::Opens;
use load::{Load, Pace};
use notifications::{posted, refreshes};
use place::Cluster;
use server::Server;

const CONNECTIONS: usize = 64;

/// The machine's ceilings, and what all parts need.
pub struct Bench {
    length: Length,
    /// Answers a second of the server library without a store.
    bare: f64,
    opens: Opens,
    /// p50 and p99 of a 4 KiB write with fsync, in ms.
    fsync: (f64, f64),
    refreshes: Vec<String>,
    cluster: Option<Cluster>,
}

/// How long everything is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Length {
    Quick,
    Usual,
    Full,
}

impl Bench {
    /// Time of one measurement.
    pub fn run_time(&self) -> Duration {
        Duration::from_secs(if self.length == Length::Quick { 2 } else { 5 })
    }

    /// As fast as 64 connections can.
    pub fn pace(&self) -> Pace {
        Pace {
            connections: CONNECTIONS,
            lasts: self.run_time(),
            rate: None,
        }
    }

    fn new(length: Length) -> Self {
        let count = if length == Length::Quick {
            4_000
        } else {
            20_000
        };
        println!("making {count} refreshes ...");
        let refreshes = refreshes(count);
        let fsync = ceilings::fsync();
        let opens = ceilings::opens(&refreshes);
        let mut bench = Self {
            length,
            bare: f64::NAN,
            opens,
            fsync,
            refreshes,
            cluster: Cluster::start(),
        };
        println!("\nCeilings of this machine, in this run");
        let bare = bench.measure(&Server::bare(), &statuses(1_000_000), bench.pace());
        bench.bare = bare.rate();
        row(
            "the same server without a store, answers/s",
            bare.rate(),
            "",
        );
        row("  p99 to the answer, ms", bare.ms(99.0), "");
        row("josekit opens on all cores, opens/s", bench.opens.rate, "");
        row("  CPU per open, us", bench.opens.cpu_us, "");
        row("fsync p50 / p99, ms", fsync.0, &format!("/ {:.2}", fsync.1));
        bench
    }

    /// A load, with the CPU that it cost the server.
    pub fn measure(&self, server: &Server, write: &Writer<'_>, pace: Pace) -> Load {
        let cpu = server.cpu();
        let mut load = load::run(server.address, &posted(write), pace);
        load.cpu = server.cpu() - cpu;
        load
    }
}

/// Writes the request of a number.
pub type Writer<'a> = dyn Fn(usize, &mut Vec<u8>) + Sync + 'a;

/// Statuses of so many cards, each with an event time of its own.
pub fn statuses(cards: usize) -> impl Fn(usize, &mut Vec<u8>) + Sync {
    move |number, request| notifications::post(&notifications::status(number, cards), request)
}

/// These bodies by turns.
pub fn in_turn(bodies: &[String]) -> impl Fn(usize, &mut Vec<u8>) + Sync {
    move |number, request| notifications::post(&bodies[number % bodies.len()], request)
}

pub fn row(name: &str, value: f64, remark: &str) {
    println!("  {name:<52} {value:>10.2} {remark}");
}

type Part = (&'static str, fn(&Bench));

const PARTS: [Part; 4] = [
    ("acknowledging", acknowledging::run),
    ("applying", applying::run),
    ("reading", reading::run),
    ("calling", calling::run),
];

fn main() {
    if std::env::var_os(ceilings::BARE_SERVER).is_some() {
        return ceilings::serve_bare();
    }
    let mut length = Length::Usual;
    let mut wanted = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--bench" => {}
            "--quick" => length = Length::Quick,
            "--full" => length = Length::Full,
            name => wanted.push(name.to_owned()),
        }
    }
    let unknown = wanted
        .iter()
        .find(|name| PARTS.iter().all(|(part, _)| part != name));
    assert!(unknown.is_none(), "no such part: {unknown:?}");
    let bench = Bench::new(length);
    for (name, run) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run(&bench);
        }
    }
}

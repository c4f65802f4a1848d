//! `cargo bench --bench ingest`: how fast notifications are kept and applied on this machine, beside
//! this machine's own ceilings measured in the same run.
//!
//! The service is the built program in a process of its own, on a SQLite file; the load comes from
//! this process over 64 connections on loopback, so both share the machine. Timings are noisy:
//! compare the ratios of one run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may fail where it stands"
)]

mod ceilings;
mod load;
mod server;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenkeep::jose::encrypt;

use load::{Load, percentile};
use server::Server;

const CONNECTIONS: usize = 64;
/// Time of one measurement.
const RUN: Duration = Duration::from_secs(4);
/// Refreshes of the preloaded backlog, and distinct ones for the load.
const REFRESHES: usize = 6_000;
const KID: &str = "demo-payload-2026";

fn main() {
    if std::env::var_os(ceilings::BARE_SERVER).is_some() {
        return ceilings::serve_bare();
    }
    println!("making {REFRESHES} refreshes ...");
    let refreshes = refreshes(REFRESHES);
    let statuses = statuses(REFRESHES);

    let fsync = ceilings::fsync();
    let opens = ceilings::opens(&refreshes);
    let bare = measure(&Server::bare(), &statuses);
    println!("\nCeilings of this machine, in this run");
    row(
        "the same server without a store, answers/s",
        bare.rate(),
        "",
    );
    row("  p99 to the answer, ms", bare.p99_ms(), "");
    row("josekit opens on all cores, opens/s", opens.rate, "");
    row("  CPU per open, us", opens.cpu_us, "");
    row("fsync p50 / p99, ms", fsync.0, &format!("/ {:.2}", fsync.1));

    println!("\nAcknowledgements, durable (SQLite, synchronous=FULL), {CONNECTIONS} connections");
    for (name, roles, bodies, aim) in [
        ("status, receive only", "receive", &statuses, 0.35),
        ("status, processing on", "receive,process", &statuses, 0.30),
        ("refresh, receive only", "receive", &refreshes, 0.35),
        (
            "refresh, processing on",
            "receive,process",
            &refreshes,
            0.30,
        ),
    ] {
        let server = Server::start(roles, None);
        let load = measure(&server, bodies);
        let ratio = load.rate() / bare.rate();
        row(
            &format!("{name}, acks/s"),
            load.rate(),
            &format!("{ratio:.2} of bare, aim {aim}"),
        );
        let p50 = percentile(&load.answers, 50.0) * 1e3;
        row(
            "  p50 / p99 to the answer, ms",
            p50,
            &format!("/ {:.1}", load.p99_ms()),
        );
        row("  server CPU per notification, us", load.cpu_us(), "");
        row("  peak memory, MB", server.peak_memory_mb(), "aim < 100");
    }

    println!("\nApplying");
    apply_backlog(&refreshes, opens.cpu_us, opens.rate);
    time_to_applied(&statuses, bare.rate());
}

fn measure(server: &Server, bodies: &[String]) -> Load {
    let cpu = server.cpu();
    let mut load = load::run(server.address, server.path, bodies, CONNECTIONS, RUN, None);
    load.cpu = server.cpu() - cpu;
    load
}

/// Refreshes opened and applied from a backlog that waits when the processor starts.
fn apply_backlog(refreshes: &[String], cpu_of_open: f64, opens: f64) {
    let receiver = Server::start("receive", None);
    let once = load::once(receiver.address, receiver.path, refreshes, CONNECTIONS);
    assert_eq!(once, refreshes.len(), "every refresh is kept");
    let folder = receiver.into_folder();
    let begun = Instant::now();
    let processor = Server::start("process", Some(folder));
    processor.wait_until_drained();
    let seconds = begun.elapsed().as_secs_f64();
    let rate = refreshes.len() as f64 / seconds;
    let cpu = processor.cpu() * 1e6 / refreshes.len() as f64;
    let ratio = rate / opens;
    row(
        "refreshes from a backlog, applied/s",
        rate,
        &format!("{ratio:.2} of bare opens"),
    );
    let ratio = cpu / cpu_of_open;
    row(
        "  CPU per refresh, us",
        cpu,
        &format!("{ratio:.2} of a bare open, aim 1.3"),
    );
    row("  peak memory, MB", processor.peak_memory_mb(), "aim < 100");
}

/// From the receipt to the verdict, at a tenth of the bare server's rate.
fn time_to_applied(statuses: &[String], bare: f64) {
    let server = Server::start("receive,process", None);
    let rate = Some(bare / 10.0);
    load::run(
        server.address,
        server.path,
        statuses,
        CONNECTIONS,
        RUN,
        rate,
    );
    server.wait_until_drained();
    let times = server.milliseconds_to_applied();
    let p50 = percentile(&times, 50.0);
    let p99 = percentile(&times, 99.0);
    row(
        "status, from receipt to applied p50 / p99, ms",
        p50,
        &format!("/ {p99:.0}"),
    );
}

fn row(name: &str, value: f64, remark: &str) {
    println!("  {name:<48} {value:>10.2} {remark}");
}

fn card(number: usize, status: &str) -> Value {
    json!({
        "eventTimeStamp": "1784541600000",
        "maskedCard": {
            "srcDigitalCardId": format!("bench-card-{number:08}"),
            "panBin": "512034",
            "panLastFour": "0747",
            "panExpirationMonth": "12",
            "panExpirationYear": "2029",
            "paymentCardDescriptor": "mastercard",
            "dateOfCardCreated": "2024-10-03T14:29:30.685Z",
            "digitalCardData": {
                "status": status,
                "descriptorName": "Test Bank",
                "artUri": "https://assets.example/card-art/blue.png",
            },
        },
    })
}

fn statuses(count: usize) -> Vec<String> {
    let body = |number| json!({ "digitalCardUpdateNotifications": [card(number, "ACTIVE")] });
    (0..count).map(|number| body(number).to_string()).collect()
}

fn refreshes(count: usize) -> Vec<String> {
    let key = std::fs::read(server::keys().join(format!("payload/{KID}.pem"))).expect("a demo key");
    let body = |number: usize| {
        let payment = json!({ "paymentToken": {
            "paymentToken": format!("548098{number:010}"),
            "tokenExpirationMonth": "12",
            "tokenExpirationYear": "2031",
        }});
        let token = encrypt(
            payment.to_string().as_bytes(),
            &key,
            Some(KID),
            "A128GCM",
            12,
        );
        let mut element = card(number, "ACTIVE");
        element["reasonCode"] = "TOKEN_REFRESH".into();
        element["paymentData"] = token.expect("a JWE").into();
        json!({ "digitalCardUpdateNotifications": [element] }).to_string()
    };
    (0..count).map(body).collect()
}

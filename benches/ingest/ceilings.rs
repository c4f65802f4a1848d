//! What this machine can do at best: the server library alone, the private key alone, the disk
//! alone.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use actix_web::{App, HttpResponse, HttpServer, rt, web};
use serde_json::Value;
use tokenkeep::jose::{Keyring, OpenPolicy};

use crate::load::percentile;
use crate::notifications::PATH;
use crate::server;

/// Set for the process that is the bare server.
pub const BARE_SERVER: &str = "TOKENKEEP_BENCH_BARE_SERVER";

/// Reads each body and answers 204; nothing else. Ends by being killed.
pub fn serve_bare() {
    let served = rt::System::new().block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let answer = |_: web::Bytes| async { HttpResponse::NoContent().finish() };
        let app = move || App::new().route(PATH, web::post().to(answer));
        let server = HttpServer::new(app).listen(listener)?.run();
        writeln!(std::io::stderr(), "receiving on http://{address}/")?;
        server.await
    });
    served.expect("a bare server");
}

/// How fast tokens open when nothing else is done.
pub struct Opens {
    pub rate: f64,
    pub cpu_us: f64,
}

/// Opens the `paymentData` of refreshes on all cores.
pub fn opens(refreshes: &[String]) -> Opens {
    let Ok(keyring) = Keyring::load(&server::keys(), OpenPolicy::default()) else {
        panic!("the demonstration keys are missing");
    };
    let token = |body: &String| {
        let body: Value = serde_json::from_str(body).expect("a body");
        let token = &body["digitalCardUpdateNotifications"][0]["paymentData"];
        token.as_str().expect("a token").to_owned()
    };
    let tokens: Vec<String> = refreshes.iter().map(token).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpu = server::cpu_of("self");
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for chunk in tokens.chunks(tokens.len().div_ceil(cores)) {
            let keyring = &keyring;
            scope.spawn(move || {
                chunk
                    .iter()
                    .for_each(|t| drop(keyring.open(t, None).expect("opens")))
            });
        }
    });
    Opens {
        rate: tokens.len() as f64 / begun.elapsed().as_secs_f64(),
        cpu_us: (server::cpu_of("self") - cpu) * 1e6 / tokens.len() as f64,
    }
}

/// Milliseconds of a 4 KiB write with fsync: p50 and p99.
pub fn fsync() -> (f64, f64) {
    let file = tempfile::tempfile().expect("a file");
    let block = [7_u8; 4096];
    let times: Vec<f64> = (0..500)
        .map(|number| {
            let begun = Instant::now();
            file.write_all_at(&block, number * 4096).expect("a write");
            file.sync_data().expect("a sync");
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    (percentile(&times, 50.0), percentile(&times, 99.0))
}

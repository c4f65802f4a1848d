//! The load: keep-alive connections that send and wait for the answer, one thread each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a load came to.
pub struct Load {
    /// Seconds to each answer.
    pub answers: Vec<f64>,
    pub seconds: f64,
    /// Seconds of CPU the server spent.
    pub cpu: f64,
}

impl Load {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.answers.len() as f64 / self.seconds
    }

    pub fn ms(&self, percent: f64) -> f64 {
        percentile(&self.answers, percent) * 1e3
    }

    /// Microseconds of the server's CPU for each answer.
    pub fn cpu_us(&self) -> f64 {
        self.cpu * 1e6 / self.answers.len() as f64
    }
}

/// The value below which this share of the values lies.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

/// How long a load lasts, and how fast it is: as fast as answers come where no rate is given.
#[derive(Clone, Copy)]
pub struct Pace {
    pub connections: usize,
    pub lasts: Duration,
    pub rate: Option<f64>,
}

/// Requests by their number; each must be answered with this status.
pub struct Requests<'a> {
    pub write: &'a (dyn Fn(usize, &mut Vec<u8>) + Sync),
    pub status: &'static str,
}

/// Sends requests in turn for a time.
pub fn run(address: SocketAddr, requests: &Requests<'_>, pace: Pace) -> Load {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let answers = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..pace.connections)
            .map(|_| {
                let next = &next;
                scope.spawn(move || {
                    let mut connection = Connection::open(address);
                    let mut answers = Vec::new();
                    while begun.elapsed() < pace.lasts {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let mut due = Instant::now();
                        if let Some(rate) = pace.rate {
                            due = begun + Duration::from_secs_f64(number as f64 / rate);
                            std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        }
                        connection.exchange(requests, number);
                        // From when it was due: who is late because of the server waits, too.
                        answers.push(due.elapsed().as_secs_f64());
                    }
                    answers
                })
            })
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(|answers| answers.expect("a load thread"))
            .collect()
    });
    Load {
        answers,
        seconds: begun.elapsed().as_secs_f64(),
        cpu: 0.0,
    }
}

/// Sends the first so many requests once each; returns how many answers a second that were.
pub fn once(address: SocketAddr, requests: &Requests<'_>, count: usize, connections: usize) -> f64 {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = Connection::open(address);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    connection.exchange(requests, number);
                }
            });
        }
    });
    count as f64 / begun.elapsed().as_secs_f64()
}

struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            request: Vec::new(),
            answer: Vec::new(),
        }
    }

    fn exchange(&mut self, requests: &Requests<'_>, number: usize) {
        self.request.clear();
        (requests.write)(number, &mut self.request);
        self.stream
            .write_all(&self.request)
            .expect("the server reads");
        self.answer.clear();
        let mut part = [0; 8192];
        while !is_whole(&self.answer) {
            let read = self.stream.read(&mut part).expect("an answer");
            assert!(read > 0, "the connection was closed");
            self.answer.extend_from_slice(&part[..read]);
        }
        let status = self.answer.get(9..12).unwrap_or_default();
        assert!(
            status == requests.status.as_bytes(),
            "{}",
            String::from_utf8_lossy(&self.answer)
        );
    }
}

/// Whether the head is there, and as many bytes behind it as it says.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|end| end == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head
        .split("\r\ncontent-length:")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.trim().parse().ok());
    answer.len() >= end + 4 + length.unwrap_or(0)
}

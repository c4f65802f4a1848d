//! The load: keep-alive connections that post and wait for the answer, one thread each.

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

    pub fn p99_ms(&self) -> f64 {
        percentile(&self.answers, 99.0) * 1e3
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

/// Posts bodies in turn for a time, at a rate if one is given.
pub fn run(
    address: SocketAddr,
    path: &str,
    bodies: &[String],
    connections: usize,
    time: Duration,
    rate: Option<f64>,
) -> Load {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let answers = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections)
            .map(|_| {
                let next = &next;
                scope.spawn(move || {
                    let mut connection = Connection::open(address, path);
                    let mut answers = Vec::new();
                    while begun.elapsed() < time {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if let Some(rate) = rate {
                            let due = begun + Duration::from_secs_f64(number as f64 / rate);
                            std::thread::sleep(due.saturating_duration_since(Instant::now()));
                        }
                        let body = &bodies[number % bodies.len()];
                        let sent = Instant::now();
                        connection.post(body);
                        answers.push(sent.elapsed().as_secs_f64());
                    }
                    answers
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a load thread"))
            .collect()
    });
    Load {
        answers,
        seconds: begun.elapsed().as_secs_f64(),
        cpu: 0.0,
    }
}

/// Posts each body once; returns how many were acknowledged.
pub fn once(address: SocketAddr, path: &str, bodies: &[String], connections: usize) -> usize {
    let share = bodies.len().div_ceil(connections);
    std::thread::scope(|scope| {
        let workers: Vec<_> = bodies
            .chunks(share)
            .map(|chunk| {
                scope.spawn(move || {
                    let mut connection = Connection::open(address, path);
                    chunk.iter().map(|body| connection.post(body)).count()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("a load thread"))
            .sum()
    })
}

struct Connection {
    stream: TcpStream,
    head: String,
    buffer: [u8; 4096],
}

impl Connection {
    fn open(address: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self {
            stream,
            head: format!(
                "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: "
            ),
            buffer: [0; 4096],
        }
    }

    /// Posts one body and reads the answer, which has no body and must be 204.
    fn post(&mut self, body: &str) {
        let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
        self.stream
            .write_all(request.as_bytes())
            .expect("the server reads");
        let mut length = 0;
        loop {
            length += self
                .stream
                .read(&mut self.buffer[length..])
                .expect("an answer");
            if self.buffer[..length].ends_with(b"\r\n\r\n") {
                break;
            }
        }
        let answer = String::from_utf8_lossy(&self.buffer[..length]);
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }
}

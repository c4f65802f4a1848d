//! Requests as bytes, for what no well-behaved client would send.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection, used byte by byte, and what came behind the last answer.
pub struct Connection(TcpStream, Vec<u8>);

/// An answer, as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// A header's value, if the answer has it.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The stable code of a problem document; empty if it is none.
    pub fn code(&self) -> String {
        let document: Option<serde_json::Value> = serde_json::from_str(&self.body).ok();
        let code = document.and_then(|document| Some(document["code"].as_str()?.to_owned()));
        code.unwrap_or_default()
    }
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream, Vec::new())
    }

    /// Its port at this end.
    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Sends; false once the other side takes no more.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Goes on sending a piece at a time until the other side takes no more.
    pub fn drip(&self, piece: &'static [u8], every: Duration) {
        let mut stream = self.0.try_clone().unwrap();
        std::thread::spawn(move || {
            while stream.write_all(piece).is_ok() {
                std::thread::sleep(every);
            }
        });
    }

    /// Goes on sending a piece after the other until the other side takes no more; returns how many
    /// bytes were sent so far.
    pub fn pour(&self, piece: &'static [u8]) -> Arc<AtomicUsize> {
        let mut stream = self.0.try_clone().unwrap();
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        std::thread::spawn(move || {
            while stream.write_all(piece).is_ok() {
                counted.fetch_add(piece.len(), Ordering::SeqCst);
            }
        });
        sent
    }

    /// How many of the bytes sent the other side has not read, as the system knows it of both ends;
    /// `None` once the other side has closed.
    pub fn unread(&self) -> Option<usize> {
        let ends = [self.0.local_addr().ok()?, self.0.peer_addr().ok()?];
        let [here, there] = ends.map(|end| match end {
            SocketAddr::V4(end) => {
                let address = u32::from_le_bytes(end.ip().octets());
                format!("{address:08X}:{:04X}", end.port())
            }
            SocketAddr::V6(_) => panic!("an address of IPv4"),
        });
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let queues = |from: &str, to: &str| {
            let mut rows = table
                .lines()
                .map(|row| row.split_whitespace().collect::<Vec<_>>());
            let row = rows.find(|row| row[1] == from && row[2] == to && row[3] == "01")?;
            let (sending, received) = row[4].split_once(':')?;
            let number = |digits| usize::from_str_radix(digits, 16).unwrap();
            Some((number(sending), number(received)))
        };
        Some(queues(&here, &there)?.0 + queues(&there, &here)?.1)
    }

    /// The next answer; `None` if the connection ended without a whole one.
    pub fn reply(&mut self) -> Option<Reply> {
        self.reply_within(PATIENCE)
    }

    /// The same with less patience.
    pub fn reply_within(&mut self, time: Duration) -> Option<Reply> {
        let deadline = Instant::now() + time;
        loop {
            if let Some((reply, length)) = parse(&self.1) {
                self.1.drain(..length);
                return Some(reply);
            }
            let mut chunk = [0; 4096];
            match self.read(&mut chunk, deadline) {
                0 => return None,
                length => self.1.extend_from_slice(&chunk[..length]),
            }
        }
    }

    /// Whether the other side has closed already. What it has said is lost.
    pub fn is_closed(&mut self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let read = self.0.read(&mut [0; 4096]);
        self.0.set_nonblocking(false).unwrap();
        match read {
            Ok(length) => length == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// Whether the other side closes within this time, whatever it says before.
    pub fn closes_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while self.read(&mut [0; 4096], deadline) > 0 {}
        Instant::now() < deadline
    }

    /// Reads something; 0 at the end of the connection and at the deadline.
    fn read(&mut self, chunk: &mut [u8], deadline: Instant) -> usize {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return 0;
        }
        self.0.set_read_timeout(Some(left)).unwrap();
        self.0.read(chunk).unwrap_or(0)
    }
}

/// What drips must end as well.
impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// The answer that these bytes begin with, once it is whole, and how many bytes it takes.
pub fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut reply = Reply {
        status: head.get(9..12)?.parse().ok()?,
        head: head.to_owned(),
        body: String::new(),
    };
    let length = reply.header("content-length").unwrap_or("0");
    reply.body = body.get(..length.parse().ok()?)?.to_owned();
    let length = head.len() + 4 + reply.body.len();
    Some((reply, length))
}

/// The head of a `POST` of `length` bytes of JSON, which ends with an empty line.
pub fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// Sends bytes on a connection of their own.
pub fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Reply> {
    let mut connection = Connection::open(address);
    // What is refused early may not be taken to its end: the answer comes all the same.
    connection.send(bytes);
    connection.reply()
}

/// Posts bytes as JSON to the notification path.
pub fn post(address: SocketAddr, body: &[u8]) -> Reply {
    let mut request = head("/notifications/card", body.len()).into_bytes();
    request.extend_from_slice(body);
    exchange(address, request).expect("an answer")
}

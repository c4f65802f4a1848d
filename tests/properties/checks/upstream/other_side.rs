//! A server on a thread that answers every request with what it was last told to.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

type Reply = (u16, Box<dyn Fn(&[u8]) -> Vec<u8> + Send>);

/// The server; its threads end with the process.
pub struct OtherSide {
    address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
}

impl OtherSide {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let reply: Reply = (200, Box::new(|_| Vec::new()));
        let reply = Arc::new(Mutex::new(reply));
        let current = Arc::clone(&reply);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let current = Arc::clone(&current);
                // A client that has gone away ends it.
                std::thread::spawn(move || serve(&stream.unwrap(), &current).ok());
            }
        });
        Self { address, reply }
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this status, and the body that `body` makes of a request's.
    pub fn answers(&self, status: u16, body: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = (status, Box::new(body));
    }
}

/// Answers on one connection until it ends.
fn serve(stream: &TcpStream, reply: &Mutex<Reply>) -> io::Result<()> {
    let mut input = BufReader::new(stream);
    let mut output = stream;
    stream.set_nodelay(true)?;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut request = vec![0; length];
        input.read_exact(&mut request)?;
        let (status, body) = {
            let reply = reply.lock().unwrap_or_else(PoisonError::into_inner);
            (reply.0, reply.1(&request))
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        output.write_all(&[head.as_bytes(), &body].concat())?;
    }
}

//! A server on a thread that records what it hears and answers what the test says, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request as it came.
#[derive(Clone, Default)]
pub struct Heard {
    pub method: String,
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A value of the query, decoded as a server does.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.into_iter().find(|(known, _)| *known == name)?;
        let mut bytes = Vec::new();
        let mut rest = value.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                }
                byte => bytes.push(byte),
            }
        }
        Some(String::from_utf8(bytes).unwrap())
    }
}

/// The server; its thread ends with the test's process.
pub struct Recorder {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Recorder {
    /// Answers each request with the bytes that `answer` gives and closes the connection.
    pub fn start(answer: impl FnMut(&Heard) -> Vec<u8> + Send + 'static) -> Self {
        let mut answer = answer;
        Self::serve(move |heard, stream| stream.write_all(&answer(heard)))
    }

    /// Lets `serve` do with the connection what it likes once a request has been read.
    pub fn serve(
        serve: impl FnMut(&Heard, &mut TcpStream) -> std::io::Result<()> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&heard);
        let serve = Arc::new(Mutex::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (record, serve) = (Arc::clone(&record), Arc::clone(&serve));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    if let Some(request) = read(&stream) {
                        record.lock().unwrap().push(request.clone());
                        // A client that has gone away is the test's business.
                        let _ = (*serve.lock().unwrap())(&request, &mut stream);
                    }
                });
            }
        });
        Self { address, heard }
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Heard> {
    let mut input = BufReader::new(stream);
    let mut line = String::new();
    input.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let mut request = Heard {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        ..Heard::default()
    };
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => request.headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let length = request.header("content-length").unwrap_or("0");
    request.body = vec![0; length.parse().ok()?];
    input.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// A whole answer with a JSON body; `head` is `STATUS`, or that and more header lines.
pub fn answer(head: &str, body: &str) -> Vec<u8> {
    let (status, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers: String = headers.lines().map(|line| format!("{line}\r\n")).collect();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub fn ok(body: &str) -> Vec<u8> {
    answer("200", body)
}

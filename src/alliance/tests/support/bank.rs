//! A server on a thread that checks a request's signature, time and path, and answers what the test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Verifier;
use serde_json::{Map, Value};

use super::{NOW, error, repository};

/// How far the time of a request may lie from the bank's, in milliseconds.
const WINDOW: u64 = 60_000;

/// One request as it came.
#[derive(Clone, Default)]
pub struct Heard {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Of the JWS.
    pub header: Map<String, Value>,
    pub payload: Value,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// The server; its thread ends with the test's process.
pub struct Bank {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Bank {
    /// Knows the merchant by the repository's key.
    pub fn start(answer: impl FnMut(&Heard) -> Vec<u8> + Send + 'static) -> Self {
        let pem = std::fs::read(repository("keys/signing/demo-alliance.pem")).unwrap();
        let key = PKey::private_key_from_pem(&pem).unwrap();
        Self::knowing(key, "ES256", answer)
    }

    /// Knows the merchant by this key, registered for this algorithm. What is not in order is refused
    /// with HTTP 200; a GET gets its answer unchecked.
    pub fn knowing(
        key: PKey<Private>,
        alg: &'static str,
        answer: impl FnMut(&Heard) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&heard);
        let mut answer = answer;
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else {
                    continue;
                };
                let fault = match request.method.as_str() {
                    "GET" => None,
                    _ => fault(&request, &key, alg),
                };
                record.lock().unwrap().push(request.clone());
                let bytes = match fault {
                    Some(code) => http("200", &error(code).to_string()),
                    None => answer(&request),
                };
                // A client that has gone away is the test's business.
                let _ = stream.write_all(&bytes);
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

    /// The only request so far.
    #[track_caller]
    pub fn only(&self) -> Heard {
        let heard = self.heard();
        assert_eq!(heard.len(), 1);
        heard[0].clone()
    }
}

/// The code with which the bank refuses a request.
fn fault(request: &Heard, key: &PKey<Private>, alg: &str) -> Option<&'static str> {
    let text = |name: &str| request.header.get(name).and_then(Value::as_str);
    if text("alg") != Some(alg) || !is_signed(compact(&request.body).as_str(), key, alg) {
        return Some("t_signature");
    }
    if text("targetUrl") != Some(&request.target) {
        return Some("t_target");
    }
    let ts = match &request.header["ts"] {
        Value::String(text) => text.parse().unwrap(),
        number => number.as_i64().unwrap(),
    };
    // Seconds have three digits less.
    let ts = if ts < 100_000_000_000 { ts * 1000 } else { ts };
    (ts.abs_diff(NOW) > WINDOW).then_some("t_time")
}

/// Verifies with OpenSSL alone.
fn is_signed(compact: &str, key: &PKey<Private>, alg: &str) -> bool {
    let (signed, signature) = compact.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    if alg.starts_with("ES") {
        let (r, s) = signature.split_at(signature.len() / 2);
        let (r, s) = (BigNum::from_slice(r), BigNum::from_slice(s));
        let pair = EcdsaSig::from_private_components(r.unwrap(), s.unwrap());
        signature = pair.unwrap().to_der().unwrap();
    }
    let digest = match &alg[2..] {
        "256" => MessageDigest::sha256(),
        "384" => MessageDigest::sha384(),
        _ => MessageDigest::sha512(),
    };
    let mut verifier = Verifier::new(digest, key).unwrap();
    let verified = verifier.verify_oneshot(&signature, signed.as_bytes());
    verified.is_ok_and(|right| right)
}

/// The JWS of a body, which may be the one member of an object.
fn compact(body: &str) -> String {
    match serde_json::from_str::<Map<String, Value>>(body) {
        Ok(fields) => fields.values().next().unwrap().as_str().unwrap().to_owned(),
        Err(_) => body.to_owned(),
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
    let mut body = vec![0; length.parse().ok()?];
    input.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    if !request.body.is_empty() {
        let compact = compact(&request.body);
        let mut parts = compact.split('.');
        let mut part = || URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap();
        request.header = serde_json::from_slice(&part()).unwrap();
        request.payload = serde_json::from_slice(&part()).unwrap();
    }
    Some(request)
}

/// A whole answer; `head` is `STATUS`, or that and more header lines.
pub fn http(head: &str, body: &str) -> Vec<u8> {
    let (status, headers) = head.split_once('\n').unwrap_or((head, ""));
    let headers: String = headers.lines().map(|line| format!("{line}\r\n")).collect();
    format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

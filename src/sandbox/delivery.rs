//! How an answer travels: whole, or as a fault has it.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::calls::Operation;
use super::faults::Fault;
use super::gate::Gate;
use super::http::Answer;
use super::shared::Shared;
use super::{alliance, errors};

/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_secs(1);
const HUGE_HEADER: usize = 1024 * 1024;
const HUGE_BODY: usize = 100 * 1024 * 1024;
const CHUNK: usize = 64 * 1024;
/// Ten million zeros, gzipped. Several one behind the other are one gzip file again.
const ZEROS: &[u8] = include_bytes!("zeros.gz");
const BOMB: usize = 100;

/// What is answered in place of the true answer, if the fault has it so.
pub(super) fn instead(shared: &Shared, operation: Operation, fault: &Fault) -> Option<Answer> {
    let json = |body: &str| Answer::new(200, "application/json", body);
    match fault {
        Fault::Html => Some(Answer::new(
            200,
            "text/html",
            "<!DOCTYPE html><title>Sign in</title><p>Sign in to the network.</p>",
        )),
        Fault::Empty(status) => Some(Answer {
            status: *status,
            headers: Vec::new(),
            body: Vec::new(),
        }),
        Fault::BadJson => Some(json(r#"{"checkoutResponseJWS":"eyJ"#)),
        Fault::WrongSchema => Some(json(
            r#"{"checkoutResponseJWS":{"jws":1},"maskedCard":[],"srcCorrelationId":false,"keys":7,"encryptedData":{"data":1}}"#,
        )),
        Fault::Redirect { status, location } => {
            Some(Answer::new(*status, "text/plain", "").with("Location", location))
        }
        Fault::Error {
            status,
            shape,
            retry_after,
        } => {
            let answer = match operation.is_of_the_bank() {
                true => alliance::planned(shared, *status, *shape),
                false => errors::planned(*status, *shape),
            };
            Some(match retry_after {
                Some(value) => answer.with("Retry-After", value),
                None => answer,
            })
        }
        Fault::EndlessChunks | Fault::HugeBody => Some(json("")),
        Fault::GzipBomb => Some(json("").with("Content-Encoding", "gzip")),
        _ => None,
    }
}

/// Sends an answer. Returns whether the connection can be used further.
pub(super) fn deliver(
    stream: &mut TcpStream,
    answer: &Answer,
    fault: Option<&Fault>,
    gate: &Gate,
) -> io::Result<bool> {
    let body = answer.body.as_slice();
    let head = head_of(answer, body.len());
    let head = head.as_bytes();
    match fault {
        Some(Fault::SlowHead) => drip(stream, &[head, body].concat(), gate)?,
        Some(Fault::SlowBody) => {
            stream.write_all(head)?;
            drip(stream, body, gate)?;
        }
        Some(Fault::ShortBody) => {
            let (half, _) = body.split_at(body.len() / 2);
            stream.write_all(&[head, half].concat())?;
        }
        Some(Fault::Http10) => {
            let head = answer.head("HTTP/1.0", None);
            stream.write_all(&[head.as_bytes(), body].concat())?;
        }
        Some(Fault::HugeHeader) => {
            let padding = ("X-Padding", "a".repeat(HUGE_HEADER));
            stream.write_all(answer.head("HTTP/1.1", Some(padding)).as_bytes())?;
            stream.write_all(body)?;
        }
        Some(Fault::InformationalFlood) => {
            let flood = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
            repeat(stream, flood.as_bytes(), usize::MAX, gate)?;
        }
        Some(Fault::EndlessChunks) => {
            let chunked = ("Transfer-Encoding", "chunked".to_owned());
            stream.write_all(answer.head("HTTP/1.1", Some(chunked)).as_bytes())?;
            let chunk = format!("{CHUNK:x}\r\n{}\r\n", " ".repeat(CHUNK));
            repeat(stream, chunk.as_bytes(), usize::MAX, gate)?;
        }
        Some(Fault::HugeBody) => {
            stream.write_all(head_of(answer, HUGE_BODY).as_bytes())?;
            repeat(stream, &[b' '; CHUNK], HUGE_BODY / CHUNK, gate)?;
        }
        Some(Fault::GzipBomb) => {
            stream.write_all(head_of(answer, ZEROS.len() * BOMB).as_bytes())?;
            repeat(stream, ZEROS, BOMB, gate)?;
        }
        _ => {
            stream.write_all(&[head, body].concat())?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// The head of an answer whose body has so many bytes.
fn head_of(answer: &Answer, length: usize) -> String {
    // A 204 has no body and may not give a length.
    let length = (answer.status != 204).then(|| ("Content-Length", length.to_string()));
    answer.head("HTTP/1.1", length)
}

fn drip(stream: &mut TcpStream, bytes: &[u8], gate: &Gate) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte])?;
        if !gate.pause(DRIP) {
            break;
        }
    }
    Ok(())
}

fn repeat(stream: &mut TcpStream, bytes: &[u8], times: usize, gate: &Gate) -> io::Result<()> {
    for _ in 0..times {
        if gate.is_stopped() {
            break;
        }
        stream.write_all(bytes)?;
    }
    Ok(())
}

//! Rows of the table of faults at work: each a program of its own, with its own other side.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::X509;
use serde_json::{Value, json};
use tokenkeep::domain::{Expiry, TokenNumber};
use tokenkeep::sandbox::{NewCard, Operation, Refresh, Sandbox};
use tokenkeep::settings::ProgramSettings;

use crate::calls_fault_table::{OPERATIONS, Row, Upstream};
use crate::support::START;
use crate::support::build::{NUMBER_1, plain, refresh};
use crate::support::calls::{clock_of, program, sandbox};
use crate::support::issuer::CLIENT;

/// Seconds that an attempt may take where running out of time is what must happen.
const SHORT: u64 = 4;
/// Seconds that any other may take: on a busy machine it must not run out of time by itself.
pub const LONGEST: u64 = 20;

/// A row at work: a program of its own, with its own other side and one card.
pub struct Cell {
    pub row: Row,
    pub card: String,
    pub program: String,
    /// None where there is nobody, or not yet.
    pub sandbox: Option<Sandbox>,
    /// Where a connection is refused.
    refused: Option<SocketAddr>,
}

impl Cell {
    pub fn new(
        number: usize,
        row: Row,
        operation: Operation,
        clock: &Arc<AtomicI64>,
    ) -> (Self, ProgramSettings) {
        let is_command = operation == Operation::SetTokenStatus;
        let name = format!("program-{number}");
        let service = format!("SERVICE#{number}");
        let mut sandbox_of_row = None;
        let mut refused = None;
        let address = match &row.upstream {
            Upstream::Sandbox(_) => {
                let started = sandbox(clock_of(clock), |s| s.service_id.clone_from(&service));
                let address = match is_command {
                    true => started.processing_url(),
                    false => started.base_url(),
                };
                sandbox_of_row = Some(started);
                address
            }
            Upstream::Refused => {
                let unused = nobody();
                refused = Some(unused);
                let path = match is_command {
                    true => "global-processing/digital",
                    false => "src/api/digital/payments",
                };
                format!("http://{unused}/{path}")
            }
            Upstream::NoSuchHost => "https://tokenkeep.invalid".to_owned(),
            Upstream::Untrusted => untrusted(),
            Upstream::Silent => silent(),
        };
        let timeout = if row.runs_out_of_time() {
            SHORT
        } else {
            LONGEST
        };
        let program = match is_command {
            true => issuer(&address, timeout),
            false => {
                let more = json!({ "timeout": timeout, "get_card_token": true });
                program(&address, &service, &more)
            }
        };
        let cell = Self {
            card: format!("9{number:04}"),
            program: name,
            sandbox: sandbox_of_row,
            refused,
            row,
        };
        (cell, program)
    }

    /// The notification that makes a card known here and a cryptogram due.
    pub fn notification(&self, card: &str) -> Value {
        match &self.sandbox {
            Some(sandbox) => {
                sandbox.create_card(new_card(card)).unwrap();
                sandbox.refresh(card, Refresh::Nothing).unwrap()
            }
            None => plain(&[refresh(card, START, NUMBER_1, ("12", "2031"))]),
        }
    }

    /// The card's one token, where a command is given.
    pub fn token(&self) -> String {
        format!("55987654321{}", self.card)
    }

    /// Makes the card known here, where it has a token of its own.
    pub fn registration(&self, operation: Operation) -> Value {
        if operation != Operation::SetTokenStatus {
            return json!({ "program": self.program });
        }
        if let Some(sandbox) = &self.sandbox {
            sandbox.add_token(&self.card, CLIENT, &self.token());
        }
        json!({ "program": self.program, "tokens": [{ "tokenNumber": self.token() }] })
    }

    pub fn has_answered(&self) -> bool {
        let sandbox = self.sandbox.as_ref();
        sandbox.is_none_or(|sandbox| sandbox.count(Operation::Checkout, None) == 1)
    }

    pub fn spoil(&self, operation: Operation) {
        if let (Some(sandbox), Upstream::Sandbox(fault)) = (&self.sandbox, &self.row.upstream) {
            sandbox.set_fault(operation, Some(fault.clone()));
        }
    }

    pub fn heal(&mut self, clock: &Arc<AtomicI64>) {
        if let Some(address) = self.refused {
            let started = sandbox(clock_of(clock), |settings| {
                settings.listen = address.to_string();
                settings.service_id = self.program.replace("program-", "SERVICE#");
            });
            started.create_card(new_card(&self.card)).unwrap();
            started.add_token(&self.card, CLIENT, &self.token());
            self.sandbox = Some(started);
        }
        if let Some(sandbox) = &self.sandbox {
            for operation in OPERATIONS {
                sandbox.set_fault(operation, None);
            }
        }
    }
}

/// A program of Mastercard Processing Digital.
fn issuer(base_url: &str, timeout: u64) -> ProgramSettings {
    let program = json!({
        "kind": "mastercard-processing",
        "base_url": base_url,
        "consumer_key": "demo-consumer",
        "signing_key": "signing/demo-signing.pem",
        "encryption_key": "encryption/sandbox.pem",
        "timeout": timeout,
    });
    serde_json::from_value(program).unwrap()
}

fn new_card(id: &str) -> NewCard {
    NewCard {
        id: Some(id.to_owned()),
        service_id: None,
        number: Some(TokenNumber::parse(NUMBER_1).unwrap()),
        expiry: Expiry::parse("12", "2031"),
    }
}

/// An address of this machine where nobody listens, and that no other test will be given: each call has
/// a host of its own.
fn nobody() -> SocketAddr {
    static HOSTS: AtomicU8 = AtomicU8::new(1);
    let host = Ipv4Addr::new(127, 0, 1, HOSTS.fetch_add(1, Ordering::SeqCst));
    let listener = TcpListener::bind((host, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Accepts connections with a certificate that it made itself.
fn untrusted() -> String {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut certificate = X509::builder().unwrap();
    certificate.set_pubkey(&key).unwrap();
    let day = |day| Asn1Time::days_from_now(day).unwrap();
    certificate.set_not_before(&day(0)).unwrap();
    certificate.set_not_after(&day(1)).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&certificate.build()).unwrap();
    let acceptor = acceptor.build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = acceptor.accept(stream);
        }
    });
    address
}

/// The system takes connections for it; nobody looks at them.
fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    // Until the tests end.
    std::mem::forget(listener);
    address
}

//! API keys: who may ask for what.

use std::net::SocketAddr;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, ResponseError, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::sha::sha256;

use super::Api;
use super::refusals::{NO_API_KEY, ROLE_NOT_ALLOWED, TOO_MANY_FAILURES, UNKNOWN_API_KEY};
use crate::audit::Actor;
use crate::jose::hex;
use crate::receiver::problem::Problem;

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum AccessRole {
    /// The merchant's app: cards.
    App,
    /// The payment service: readiness and credentials.
    Payments,
    /// Merchant operations: everything but credentials.
    Ops,
}

impl AccessRole {
    /// The role's name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Payments => "payments",
            Self::Ops => "ops",
        }
    }
}

/// A new key: 256 random bits behind a prefix that says what it is.
pub fn new_key(role: AccessRole) -> Result<String, openssl::error::ErrorStack> {
    Ok(format!("tk_{}_{}", role.name(), random_text()?))
}

/// 256 random bits that nobody can guess, as text.
pub(crate) fn random_text() -> Result<String, openssl::error::ErrorStack> {
    let mut random = [0_u8; 32];
    openssl::rand::rand_bytes(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// What is kept of a key. It has 256 random bits, so an unsalted hash gives nothing away, and being
/// looked up by its hash it needs no comparison in constant time.
pub fn digest(key: &str) -> String {
    hex::encode(&sha256(key.as_bytes()))
}

/// Whose key a request came with. Handlers find it among the data of their request.
#[derive(Clone)]
pub struct Caller {
    /// The key's name.
    pub name: String,
    pub digest: String,
    /// As the audit names the caller.
    pub actor: Actor,
    is_person: bool,
}

/// Why a request does not pass, and whose key it came with, if that is known.
pub(crate) struct Turned {
    pub key: Option<String>,
    pub problem: Problem,
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Self { key: None, problem }
    }
}

/// Lets a request pass if its key has one of these roles.
pub(super) async fn admit(
    api: web::Data<Api>,
    roles: &'static [AccessRole],
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let caller = match api.caller(request.request(), roles).await {
        Ok(caller) => caller,
        Err(turned) => {
            let problem = api.turn_away(request.peer_addr(), turned).await;
            return Ok(request.error_response(problem).map_into_right_body());
        }
    };
    if request.method() != Method::GET
        && let Err(problem) = api.check_clock()
    {
        return Ok(request.error_response(problem).map_into_right_body());
    }
    // Everything else records itself, in the transaction that does it.
    let read = (caller.is_person && request.method() == Method::GET)
        .then(|| (caller.actor.clone(), request.uri().path().to_owned()));
    request.extensions_mut().insert(caller);
    let answered = next.call(request).await?;
    if let Some((actor, path)) = read
        && let Err(problem) = api.record_read(actor, path, answered.status()).await
    {
        return Ok(answered.into_response(problem.error_response().map_into_right_body()));
    }
    Ok(answered.map_into_left_body())
}

impl Api {
    /// Records a refusal and counts it; returns what is to be answered.
    pub(crate) async fn turn_away(&self, peer: Option<SocketAddr>, turned: Turned) -> Problem {
        let recorded = self.record_refusal(peer, turned.key, &turned.problem).await;
        match recorded {
            Ok(()) => self.failed(peer, turned.problem),
            Err(problem) => problem,
        }
    }

    /// Counts a request without a valid key. Only such requests are ever held back: others may share
    /// the address.
    fn failed(&self, peer: Option<SocketAddr>, problem: Problem) -> Problem {
        let peer = peer.filter(|_| problem.status == StatusCode::UNAUTHORIZED);
        let wait = peer.and_then(|peer| self.failures.count(peer.ip(), Instant::now()));
        match wait {
            Some(seconds) => Problem::from(TOO_MANY_FAILURES).retry_after(seconds),
            None => problem,
        }
    }

    async fn caller(&self, request: &HttpRequest, roles: &[AccessRole]) -> Result<Caller, Turned> {
        let digest = digest(bearer(request).ok_or(Problem::from(NO_API_KEY))?);
        self.identify(digest, roles, request.peer_addr()).await
    }

    /// Whose key has this digest, if it is valid and has one of these roles.
    pub(crate) async fn identify(
        &self,
        digest: String,
        roles: &[AccessRole],
        peer: Option<SocketAddr>,
    ) -> Result<Caller, Turned> {
        let wanted = digest.clone();
        let found = self.read(move |tx| tx.api_key_by_digest(&wanted)).await?;
        let found = found.ok_or(Problem::from(UNKNOWN_API_KEY))?;
        self.store.note_api_key(&found.name, self.clock.now());
        if roles.iter().any(|role| role.name() == found.role) {
            return Ok(Caller {
                actor: Actor::api(Some(&found.name), peer),
                is_person: found.role == AccessRole::Ops.name(),
                name: found.name,
                digest,
            });
        }
        let detail = format!("a key of the role {} may not do this", found.role);
        Err(Turned {
            key: Some(found.name),
            problem: ROLE_NOT_ALLOWED.because(detail),
        })
    }
}

/// The key of exactly one well-formed header: two of them are ambiguous and count as none.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let (first, second) = (headers.next()?, headers.next());
    if second.is_some() {
        return None;
    }
    let (scheme, key) = first.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key)
}

//! API keys: who may ask for what.

use actix_web::HttpRequest;
use actix_web::http::{StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::sha::sha256;

use super::Api;
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
    let mut random = [0_u8; 32];
    openssl::rand::rand_bytes(&mut random)?;
    Ok(format!(
        "tk_{}_{}",
        role.name(),
        URL_SAFE_NO_PAD.encode(random)
    ))
}

/// What is kept of a key. It has 256 random bits, so an unsalted hash gives nothing away, and being
/// looked up by its hash it needs no comparison in constant time.
pub fn digest(key: &str) -> String {
    hex::encode(&sha256(key.as_bytes()))
}

impl Api {
    /// Lets the request pass if its key has one of these roles.
    pub(super) async fn admit(
        &self,
        request: &HttpRequest,
        roles: &[AccessRole],
    ) -> Result<(), Problem> {
        let key = bearer(request).ok_or_else(|| {
            let detail = "send one header Authorization: Bearer KEY";
            Problem::new(StatusCode::UNAUTHORIZED, "no-api-key", detail)
        })?;
        let digest = digest(key);
        let found = self.read(move |tx| tx.api_key_by_digest(&digest)).await?;
        let Some(found) = found else {
            let detail = "the API key is unknown or revoked";
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "unknown-api-key",
                detail,
            ));
        };
        if roles.iter().any(|role| role.name() == found.role) {
            return Ok(());
        }
        let detail = format!("a key of the role {} may not do this", found.role);
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "role-not-allowed",
            detail,
        ))
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

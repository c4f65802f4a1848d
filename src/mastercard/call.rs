//! One signed request to one of Mastercard's APIs.

use std::time::Instant;

use super::oauth::{Signer, nonce, percent_encode};
use crate::settings::ConnectionSettings;
use crate::telemetry::Clock;
use crate::upstream::{Answer, CallFailure, Exchange, FLOW_ID, FailureClass, Request, is_flow_id};

/// Makes the calls of one program.
pub(super) struct Caller {
    pub(super) exchange: Exchange,
    signer: Signer,
    clock: Clock,
}

impl Caller {
    pub(super) fn new(settings: &ConnectionSettings, signer: Signer, clock: Clock) -> Self {
        Self {
            exchange: Exchange::new(settings, clock.clone()),
            signer,
            clock,
        }
    }

    /// When an attempt that begins now must be over, all its requests together.
    pub(super) fn deadline(&self) -> Instant {
        self.exchange.deadline()
    }

    /// Signs and sends; returns any whole answer.
    pub(super) fn call(
        &self,
        request: Request<'_>,
        deadline: Instant,
    ) -> Result<Answer, CallFailure> {
        let authorization = self.sign(&request)?;
        let mut signed = request;
        signed.headers.push(("authorization", &authorization));
        self.exchange.send(&signed, deadline)
    }

    fn sign(&self, request: &Request<'_>) -> Result<String, CallFailure> {
        let body = request.body.map_or(&[][..], |(_, body)| body);
        let timestamp = self.clock.now() / 1000;
        nonce()
            .map_err(Into::into)
            .and_then(|nonce| {
                self.signer
                    .authorization(request.method, request.url, body, &nonce, timestamp)
            })
            .map_err(|_| CallFailure::unsent(FailureClass::Retry, "not-signed"))
    }
}

/// The header with the flow id of an earlier answer, so that Mastercard keeps calls that follow each
/// other at one site.
pub(super) fn flow_header(id: Option<&str>) -> Vec<(&str, &str)> {
    let id = id.filter(|id| is_flow_id(id));
    id.map(|id| (FLOW_ID, id)).into_iter().collect()
}

/// An address with a query; every name is ours, every value is encoded.
pub(super) fn address(base: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", percent_encode(value)))
        .collect();
    format!("{base}?{}", pairs.join("&"))
}

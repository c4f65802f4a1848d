//! Errors in the two shapes that are documented: the service's and the gateway's.

use serde_json::{Value, json};

use super::faults::ErrorShape;
use super::http::Answer;

/// Where the service found what it objects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceType {
    Body,
    Path,
    Query,
}

impl SourceType {
    fn word(self) -> &'static str {
        match self {
            Self::Body => "BODY",
            Self::Path => "PATH",
            Self::Query => "QUERY",
        }
    }
}

/// A request that the service refuses.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) message: &'static str,
    /// Reason, the member's name and its place.
    pub(super) detail: Option<(&'static str, &'static str, SourceType)>,
}

impl Refusal {
    /// 400 for a member of the request.
    pub(super) fn argument(reason: &'static str, name: &'static str, source: SourceType) -> Self {
        Self {
            status: 400,
            reason: "INVALID_ARGUMENT",
            message: "A member of the request is missing or not as it must be.",
            detail: Some((reason, name, source)),
        }
    }

    /// 403 for ids that do not belong together, or for a key.
    pub(super) fn denied(reason: &'static str, name: &'static str, source: SourceType) -> Self {
        Self {
            status: 403,
            reason: "PERMISSION_DENIED",
            message: "This client may not do this with these ids.",
            detail: Some((reason, name, source)),
        }
    }

    pub(super) fn card_not_found() -> Self {
        Self {
            status: 404,
            reason: "NOT_FOUND",
            message: "Card not found.",
            detail: Some(("NOT_FOUND", "srcDigitalCardId", SourceType::Path)),
        }
    }

    pub(super) fn internal() -> Self {
        Self {
            status: 500,
            reason: "INTERNAL",
            message: "The sandbox failed.",
            detail: None,
        }
    }

    pub(super) fn answer(&self) -> Answer {
        let detail = self.detail.map(|(reason, name, source)| {
            json!([{
                "reason": reason,
                "message": "See reason and source.",
                "source": name,
                "sourceType": source.word(),
            }])
        });
        let body = json!({
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "errordetail": detail,
        });
        Answer::json(self.status, &body)
    }
}

/// An error of the gateway, which stands in front of the service.
pub(super) fn gateway(status: u16, reason: &str, description: &str, recoverable: bool) -> Answer {
    let error = json!({
        "Source": "Gateway",
        "ReasonCode": reason,
        "Description": description,
        "Recoverable": recoverable,
        "Details": Value::Null,
    });
    Answer::json(status, &json!({ "Errors": { "Error": [error] } }))
}

/// An error on demand.
pub(super) fn planned(status: u16, shape: ErrorShape) -> Answer {
    let reason = usual_reason(status);
    let message = "A fault that was asked for.";
    match shape {
        ErrorShape::Gateway { recoverable } => gateway(status, reason, message, recoverable),
        ErrorShape::Service { detail } => {
            let detail = detail.map(|reason| (reason, "srcDigitalCardId", SourceType::Path));
            let refusal = Refusal {
                status,
                reason,
                message,
                detail,
            };
            refusal.answer()
        }
    }
}

/// The reason that goes with a status.
fn usual_reason(status: u16) -> &'static str {
    match status {
        400 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 | 410 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        500 => "INTERNAL",
        501 => "NOT_IMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "UNEXPECTED_ERROR",
    }
}

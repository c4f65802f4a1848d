//! Errors of the bank, in its own shape.

use serde_json::{Value, json};
use uuid::Uuid;

/// A request that the bank refuses.
#[derive(Clone, Copy)]
pub(super) struct BankError {
    pub(super) status: u16,
    code: &'static str,
    text: &'static str,
}

impl BankError {
    /// Many of the bank's errors come with 200.
    pub(super) const fn within_200(code: &'static str, text: &'static str) -> Self {
        Self {
            status: 200,
            code,
            text,
        }
    }

    /// 400 for what cannot be read.
    pub(super) const fn unreadable(text: &'static str) -> Self {
        Self {
            status: 400,
            code: "b_error_parse_json",
            text,
        }
    }

    /// 400 for what is not as it must be.
    pub(super) const fn incorrect(text: &'static str) -> Self {
        Self {
            status: 400,
            code: "b_request_is_not_correct",
            text,
        }
    }

    /// An error on demand, under the code that usually goes with the status or another.
    pub(super) fn planned(status: u16, code: Option<&'static str>) -> Self {
        Self {
            status,
            code: code.unwrap_or(usual_code(status)),
            text: "A fault that was asked for.",
        }
    }

    pub(super) fn body(&self) -> Value {
        json!({
            "requestId": Uuid::now_v7().to_string(),
            "serviceId": "sandbox",
            "msgCode": self.code,
            "msgType": "ERROR",
            "msgText": self.text,
            "isLocalized": false,
            "msgAttrs": {},
            "errorCauses": [],
        })
    }
}

/// The code that goes with a status.
fn usual_code(status: u16) -> &'static str {
    match status {
        200 => "b_invalid_request",
        401 => "b_expired_token",
        404 | 502 | 504 => "b_service_unavailable",
        429 | 503 => "b_server_is_overloaded",
        500.. => "b_unknown_error",
        _ => "b_request_is_not_correct",
    }
}

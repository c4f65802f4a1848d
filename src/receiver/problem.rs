//! Refusals as RFC 9457 problem documents.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

/// A refusal: what it is called, and what its reader can do. Quotes nothing of the request.
#[derive(Debug, thiserror::Error)]
#[error("{} {code}: {detail}", .status.as_u16())]
pub struct Problem {
    pub status: StatusCode,
    /// Stable name for programs.
    pub code: &'static str,
    detail: String,
    retry_after: Option<u32>,
    closes: bool,
}

impl Problem {
    /// A refusal with this status and code; the detail is a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl ToString) -> Self {
        Self {
            status,
            code,
            detail: detail.to_string(),
            retry_after: None,
            closes: false,
        }
    }

    /// The sentence for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Tells when to come again, in seconds.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Closes the connection: there may be more of the body on its way.
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        // RFC 9110 wants a challenge with every 401, and knows none that asks for a certificate.
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if self.closes {
            response.force_close();
        }
        let document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Refused"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        response.body(document.to_string())
    }
}

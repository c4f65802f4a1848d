//! What all pages have: their frame, how they are answered, and what is answered where they cannot be.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use askama::Template;

use super::guard::SignedIn;
use crate::api::refusals::Refusal;
use crate::receiver::problem::Problem;
use crate::telemetry::timestamp;

/// Rows of a page of a list.
pub const ROWS: i64 = 50;

/// The frame of a page: its title, where it belongs, and whose session it is.
pub struct Frame {
    pub title: String,
    /// The section whose link is marked.
    pub section: &'static str,
    /// The name of the API key.
    pub key: String,
    /// What the page's forms carry.
    pub form_token: String,
    /// What was just done, if something was.
    pub notice: Option<&'static str>,
}

impl Frame {
    /// The frame of a page of this section.
    pub fn new(signed_in: &SignedIn, section: &'static str, title: impl ToString) -> Self {
        Self {
            title: title.to_string(),
            section,
            key: signed_in.caller.name.clone(),
            form_token: signed_in.session.form_token.clone(),
            notice: None,
        }
    }
}

/// Answers with a page.
pub fn html(page: &impl Template) -> Result<HttpResponse, Fault> {
    let broken = |_| {
        let detail = "the page cannot be written";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "broken-page", detail)
    };
    let text = page.render().map_err(broken)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(text))
}

/// Why a page cannot be shown, or something cannot be done.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Fault(#[from] Problem);

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.into())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    title: &'static str,
    sentence: String,
}

impl Fault {
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What happened, as a sentence.
    pub fn sentence(&self) -> String {
        sentence(self.0.detail())
    }

    /// Answers with a page of its own, under the fault's status.
    pub fn answer_with(&self, mut page: HttpResponse) -> HttpResponse {
        *page.status_mut() = self.0.status;
        let refusal = self.0.error_response();
        if let Some(seconds) = refusal.headers().get(RETRY_AFTER) {
            page.headers_mut().insert(RETRY_AFTER, seconds.clone());
        }
        page
    }
}

impl ResponseError for Fault {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        let page = ErrorPage {
            title: self.0.status.canonical_reason().unwrap_or("Refused"),
            sentence: self.sentence(),
        };
        let page = html(&page).unwrap_or_else(|_| HttpResponse::InternalServerError().finish());
        self.answer_with(page)
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => String::new(),
    }
}

/// A time of a view to read: to the second, in UTC.
pub fn time(timestamp: &str) -> String {
    let to_the_second = timestamp.get(..19).unwrap_or(timestamp);
    to_the_second.replacen('T', " ", 1)
}

/// A time in milliseconds since 1970 as views have it.
pub fn at(milliseconds: &i64) -> String {
    timestamp(*milliseconds)
}

/// How long something took or has lasted.
pub fn lasting(milliseconds: i64) -> String {
    let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
    match seconds {
        0 => format!("{rest} ms"),
        1..=9 => format!("{seconds}.{} s", rest / 100),
        10..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// What a field of a form asks for: nothing if it was left empty.
pub fn wanted(field: Option<String>) -> Option<String> {
    let field = field.map(|text| text.trim().to_owned());
    field.filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_short() {
        assert_eq!(time("2026-07-20T10:00:00.123Z"), "2026-07-20 10:00:00");
        for (milliseconds, shown) in [
            (12, "12 ms"),
            (3_456, "3.4 s"),
            (95_000, "95 s"),
            (600_000, "10 min"),
            (7_200_000, "2 h"),
            (864_000_000, "10 days"),
        ] {
            assert_eq!(lasting(milliseconds), shown);
        }
    }
}

//! The refusals that callers can rely on: each has a status, a stable code and a sentence.
//!
//! The description of the API and the handlers take them from here, so that neither knows one that
//! the other does not.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Reason;
use crate::receiver::problem::Problem;

/// Why a request is refused.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    /// For people; a refusal with something more precise to say replaces it.
    pub detail: &'static str,
}

impl Refusal {
    const fn new(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self {
            status,
            code,
            detail,
        }
    }

    /// The refusal with a sentence for this case.
    pub fn because(self, detail: impl ToString) -> Problem {
        Problem::new(self.status, self.code, detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        refusal.because(refusal.detail)
    }
}

/// A refusal as it is answered (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemDocument {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// Stable, for programs.
    code: &'static str,
    /// A sentence for people.
    detail: &'static str,
    /// Why the card may not be charged; only with the code `not-chargeable`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    reasons: Vec<Reason>,
}

/// The card may not be charged, and why.
pub(super) fn not_chargeable(reasons: Vec<Reason>) -> HttpResponse {
    let Refusal {
        status,
        code,
        detail,
    } = NOT_CHARGEABLE;
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .json(ProblemDocument {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Refused"),
            status: status.as_u16(),
            code,
            detail,
            reasons,
        })
}

macro_rules! refusals {
    ($($name:ident = $status:ident $code:literal $detail:literal;)*) => {
        $(pub(crate) const $name: Refusal = Refusal::new(StatusCode::$status, $code, $detail);)*
    };
}

refusals! {
    NO_API_KEY = UNAUTHORIZED "no-api-key" "send one header Authorization: Bearer KEY";
    UNKNOWN_API_KEY = UNAUTHORIZED "unknown-api-key" "the API key is unknown or revoked";
    TOO_MANY_FAILURES = TOO_MANY_REQUESTS "too-many-failures"
        "too many requests without a valid API key have come from this address; one with a key passes";
    ROLE_NOT_ALLOWED = FORBIDDEN "role-not-allowed" "a key of this role may not do this";
    STORAGE_UNAVAILABLE = SERVICE_UNAVAILABLE "storage-unavailable" "the database does not answer";
    CLOCK_WRONG = SERVICE_UNAVAILABLE "clock-wrong"
        "the service's clock cannot be believed, and nothing is done that would be recorded";
    DAMAGED_ROW = INTERNAL_SERVER_ERROR "damaged-row"
        "what is stored of this cannot be read; the log says what";
    WRONG_QUERY = BAD_REQUEST "wrong-query" "a query parameter is not of the right form";
    WRONG_LIMIT = BAD_REQUEST "wrong-limit" "limit is not a number of rows that a page can have";
    WRONG_CARD_ID = BAD_REQUEST "wrong-card-id"
        "a card id has 1 to 64 printable ASCII characters and no space";
    UNKNOWN_CARD = NOT_FOUND "unknown-card" "no card of this id is known";
    TERMINAL = GONE "terminal" "the card has ended and is not shown any more";
    INCOMPLETE_BODY = BAD_REQUEST "incomplete-body" "the body broke off";
    BODY_TIMEOUT = REQUEST_TIMEOUT "body-timeout" "the body did not arrive in time";
    BODY_TOO_LARGE = PAYLOAD_TOO_LARGE "body-too-large" "the body is larger than any that is meant for here";
    WRONG_REGISTRATION = BAD_REQUEST "wrong-registration" "the registration is not of the right form";
    WRONG_CREDENTIALS_REQUEST = BAD_REQUEST "wrong-credentials-request"
        "the request is not of the right form";
    WRONG_REPLAY = BAD_REQUEST "wrong-replay" "the replay is not of the right form";
    WRONG_IDEMPOTENCY_KEY = BAD_REQUEST "wrong-idempotency-key"
        "an Idempotency-Key is one header of 1 to 255 visible ASCII characters";
    IDEMPOTENCY_KEY_REUSED = UNPROCESSABLE_ENTITY "idempotency-key-reused"
        "the Idempotency-Key was used for another request; take a new one";
    ALREADY_ISSUED = CONFLICT "already-issued"
        "credentials were issued under this Idempotency-Key; they are never shown twice";
    NOT_CHARGEABLE = CONFLICT "not-chargeable" "the card may not be charged; reasons say why";
    PROGRAM_UNKNOWN = CONFLICT "program-unknown" "it is not known which program the card belongs to";
    NOT_OFFERED = CONFLICT "not-offered-by-program" "the card's program does not offer this";
    UNKNOWN_TOKEN = NOT_FOUND "unknown-token" "the card has no such token, or none is known yet";
    ILLEGAL_TRANSITION = CONFLICT "illegal-transition" "nothing leads from the token's status to this one";
    WRONG_TOKEN_COMMAND = BAD_REQUEST "wrong-token-command" "the request is not of the right form";
    NO_CRYPTOGRAM = SERVICE_UNAVAILABLE "no-cryptogram" "no cryptogram came in time";
    UPSTREAM_REFUSED = BAD_GATEWAY "upstream-refused" "Mastercard refused the call";
    UPSTREAM_UNAVAILABLE = SERVICE_UNAVAILABLE "upstream-unavailable"
        "Mastercard gave no answer that can be used";
    TOO_MANY_STREAMS = SERVICE_UNAVAILABLE "too-many-streams"
        "no further stream of events can be opened now";
    UNKNOWN_NOTIFICATION = NOT_FOUND "unknown-notification" "no notification of this id is known";
    UNKNOWN_JOB = NOT_FOUND "unknown-job" "no call of this id is known";
    NOT_RETRYABLE = CONFLICT "not-retryable"
        "only a waiting, parked or dead call can be tried again, and only while no other takes its place";
}

/// What every route with a key may answer.
pub(super) const COMMON: &[Refusal] = &[
    NO_API_KEY,
    UNKNOWN_API_KEY,
    TOO_MANY_FAILURES,
    ROLE_NOT_ALLOWED,
    STORAGE_UNAVAILABLE,
    CLOCK_WRONG,
    DAMAGED_ROW,
];
pub(super) const PAGES: &[Refusal] = &[WRONG_QUERY, WRONG_LIMIT];
pub(super) const LIVING_CARD: &[Refusal] = &[WRONG_CARD_ID, UNKNOWN_CARD, TERMINAL];
pub(super) const BODY: &[Refusal] = &[INCOMPLETE_BODY, BODY_TIMEOUT, BODY_TOO_LARGE];
pub(super) const REPEATABLE: &[Refusal] = &[WRONG_IDEMPOTENCY_KEY, IDEMPOTENCY_KEY_REUSED];

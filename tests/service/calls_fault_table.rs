//! What can go wrong with a call, and what follows from it for each of the four kinds.

use tokenkeep::sandbox::{ErrorShape, Fault, Operation};

/// Where a call goes, and what happens to it there.
#[derive(Debug, Clone)]
pub enum Upstream {
    /// A sandbox with this fault.
    Sandbox(Fault),
    /// Nobody listens there, for the time being.
    Refused,
    NoSuchHost,
    /// Its certificate is one that nobody vouches for.
    Untrusted,
    /// It accepts connections and never says a word.
    Silent,
}

/// How the first attempt must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Made again later. One of these reasons, parted by bars.
    Retry(Option<i32>, &'static str),
    /// The credential is refused: the lane stops.
    Denied(i32, &'static str),
    /// Waits for an operator.
    Parked(i32, &'static str),
    Done,
}

use Expected::{Denied, Done, Parked, Retry};

/// A row: its name, the fault, and the ends of Checkout, Delete Card and Get Card.
pub struct Row {
    pub name: &'static str,
    pub upstream: Upstream,
    expected: [Expected; 3],
    /// The end of a token command, where it is another than that of a deletion.
    of_command: Option<Expected>,
}

impl Row {
    /// A token command ends otherwise than a deletion.
    fn and_of_command(self, end: Expected) -> Self {
        let of_command = Some(end);
        Self { of_command, ..self }
    }

    /// How an operation ends.
    pub fn end(&self, operation: Operation) -> Expected {
        let [checkout, delete_card, get_card] = self.expected;
        match operation {
            Operation::Checkout => checkout,
            Operation::GetCard => get_card,
            Operation::SetTokenStatus => self.of_command.unwrap_or(delete_card),
            _ => delete_card,
        }
    }

    /// Whether any of its calls is to end because its time has run out.
    pub fn runs_out_of_time(&self) -> bool {
        let is_timeout =
            |end: &Expected| matches!(end, Retry(_, reasons) if reasons.contains("timeout"));
        self.expected.iter().any(is_timeout)
    }
}

/// The operations that are spoiled.
pub const OPERATIONS: [Operation; 4] = [
    Operation::Checkout,
    Operation::DeleteCard,
    Operation::GetCard,
    Operation::SetTokenStatus,
];

/// A token command is done with 204 and with nothing else.
const NOT_204: &str = "unexpected-success";

fn row(name: &'static str, upstream: Upstream, expected: [Expected; 3]) -> Row {
    Row {
        name,
        upstream,
        expected,
        of_command: None,
    }
}

/// All end alike.
fn alike(name: &'static str, fault: Fault, expected: Expected) -> Row {
    row(name, Upstream::Sandbox(fault), [expected; 3])
}

fn with_retry_after(value: &str) -> Fault {
    Fault::Error {
        status: 429,
        shape: ErrorShape::Service { detail: None },
        retry_after: Some(value.to_owned()),
    }
}

/// Every row.
pub fn rows() -> Vec<Row> {
    let mut rows = connections();
    rows.extend(transfers());
    rows.extend(successes_that_are_none());
    rows.extend(statuses());
    rows.extend(contents());
    rows
}

fn connections() -> Vec<Row> {
    let retry = |reason| [Retry(None, reason); 3];
    vec![
        row("refused", Upstream::Refused, retry("connection-failed")),
        row(
            "no such host",
            Upstream::NoSuchHost,
            retry("host-not-found"),
        ),
        row("untrusted certificate", Upstream::Untrusted, retry("tls")),
        row(
            "silent handshake",
            Upstream::Silent,
            retry("connect-timeout|timeout"),
        ),
        alike("hangs", Fault::Hang, Retry(None, "timeout")),
        alike("reset", Fault::Reset, Retry(None, "connection-broken")),
        alike(
            "answer lost",
            Fault::AnswerLost,
            Retry(None, "connection-broken"),
        ),
    ]
}

fn transfers() -> Vec<Row> {
    let flood = Retry(None, "timeout|answer-too-large");
    vec![
        alike("slow head", Fault::SlowHead, Retry(None, "timeout")),
        // What has no body is whole with its head.
        alike("slow body", Fault::SlowBody, Retry(Some(200), "timeout")).and_of_command(Done),
        alike(
            "short body",
            Fault::ShortBody,
            Retry(Some(200), "connection-broken"),
        )
        .and_of_command(Done),
        alike("HTTP/1.0", Fault::Http10, Done),
        alike(
            "1 MB header",
            Fault::HugeHeader,
            Retry(None, "answer-too-large"),
        ),
        alike("1xx flood", Fault::InformationalFlood, flood),
        alike(
            "endless chunks",
            Fault::EndlessChunks,
            Retry(Some(200), "answer-too-large"),
        ),
        alike(
            "100 MB",
            Fault::HugeBody,
            Retry(Some(200), "answer-too-large"),
        ),
        alike("gzip bomb", Fault::GzipBomb, Retry(Some(200), "not-json"))
            .and_of_command(Retry(Some(200), NOT_204)),
    ]
}

fn successes_that_are_none() -> Vec<Row> {
    let not_json = |status| Retry(Some(status), "not-json");
    let not_204 = |status| Retry(Some(status), NOT_204);
    let wrong = Retry(Some(200), "wrong-schema");
    let unverified = Retry(Some(200), "cannot-be-verified");
    let sandbox = Upstream::Sandbox;
    vec![
        alike("HTML", Fault::Html, not_json(200)).and_of_command(not_204(200)),
        alike("bad JSON", Fault::BadJson, not_json(200)).and_of_command(not_204(200)),
        row(
            "wrong schema",
            sandbox(Fault::WrongSchema),
            [unverified, wrong, wrong],
        )
        .and_of_command(not_204(200)),
        alike("empty 200", Fault::Empty(200), not_json(200)).and_of_command(not_204(200)),
        alike("empty 201", Fault::Empty(201), not_json(201)).and_of_command(not_204(201)),
        alike("empty 202", Fault::Empty(202), not_json(202)).and_of_command(not_204(202)),
        // Nothing to say is a deletion's right to say.
        row(
            "204",
            sandbox(Fault::Empty(204)),
            [not_json(204), Done, not_json(204)],
        ),
    ]
}

fn statuses() -> Vec<Row> {
    let error = Fault::service_error;
    let redirect = |status| Fault::Redirect {
        status,
        location: "http://127.0.0.1:9/elsewhere".to_owned(),
    };
    let redirected = |status| Retry(Some(status), "http-error");
    let not_found = Parked(404, "not-found");
    let gone = Parked(410, "not-found");
    let sandbox = Upstream::Sandbox;
    let mut rows = vec![
        alike("301", redirect(301), redirected(301)),
        alike("302", redirect(302), redirected(302)),
        alike("307", redirect(307), redirected(307)),
        alike("308", redirect(308), redirected(308)),
        alike("400", error(400), Parked(400, "INVALID_ARGUMENT")),
        alike("401", error(401), Denied(401, "UNAUTHENTICATED")),
        alike("403", error(403), Denied(403, "PERMISSION_DENIED")),
        row(
            "404",
            sandbox(error(404)),
            [Parked(404, "NOT_FOUND"), not_found, Done],
        ),
        row(
            "410",
            sandbox(error(410)),
            [Parked(410, "NOT_FOUND"), gone, Done],
        ),
        alike("409", error(409), Parked(409, "ABORTED")),
        alike("422", error(422), Parked(422, "INVALID_ARGUMENT")),
        alike("408", error(408), Retry(Some(408), "UNEXPECTED_ERROR")),
        alike("425", error(425), Retry(Some(425), "UNEXPECTED_ERROR")),
        alike("500", error(500), Retry(Some(500), "INTERNAL")),
        alike("502", error(502), Retry(Some(502), "UNAVAILABLE")),
        alike("503", error(503), Retry(Some(503), "UNAVAILABLE")),
        alike("504", error(504), Retry(Some(504), "DEADLINE_EXCEEDED")),
        // What the gateway says of it goes before the status.
        alike(
            "recoverable",
            Fault::gateway_error(400, true),
            Retry(Some(400), "INVALID_ARGUMENT"),
        ),
        alike(
            "not recoverable",
            Fault::gateway_error(500, false),
            Parked(500, "INTERNAL"),
        ),
        // Of the gateway, a 404 speaks of the address and not of the card.
        alike(
            "404 of the gateway",
            Fault::gateway_error(404, false),
            Parked(404, "NOT_FOUND"),
        ),
    ];
    rows.extend(RETRY_AFTER.map(|(name, value, _)| {
        let exhausted = Retry(Some(429), "RESOURCE_EXHAUSTED");
        alike(name, with_retry_after(value), exhausted)
    }));
    rows
}

/// What `Retry-After` may say, and the seconds that are waited at least and the most that is asked for.
pub const RETRY_AFTER: [(&str, &str, i64); 4] = [
    ("429 for seconds", "120", 120),
    // A quarter of an hour after the tests begin.
    ("429 until a date", "Mon, 20 Jul 2026 10:15:00 GMT", 840),
    ("429 for ever", "1000000000", 3_600),
    ("429 for less than nothing", "-5", 0),
];

/// Of a signed or encrypted answer. Where an operation has nothing of the kind its answer is true.
fn contents() -> Vec<Row> {
    let checkout = |name, fault, reason| {
        let expected = [Retry(Some(200), reason), Done, Done];
        row(name, Upstream::Sandbox(fault), expected)
    };
    let other_card = Retry(Some(200), "other-card");
    let other = Upstream::Sandbox(Fault::OtherCard);
    vec![
        checkout(
            "wrong signature",
            Fault::WrongSignature,
            "jws-wrong-signature",
        ),
        checkout("foreign kid", Fault::ForeignKid, "jws-unknown-kid"),
        checkout("undecryptable", Fault::Undecryptable, "undecryptable"),
        checkout(
            "expired cryptogram",
            Fault::ExpiredCryptogram,
            "expired-cryptogram",
        ),
        checkout("other request", Fault::OtherRequest, "other-correlation-id"),
        checkout(
            "signed yesterday",
            Fault::SignedYesterday,
            "not-signed-just-now",
        ),
        checkout("repeated jti", Fault::RepeatedJti, "repeated-answer"),
        checkout("replayed", Fault::Replayed, "other-correlation-id"),
        row("other card", other, [other_card, Done, other_card]),
    ]
}

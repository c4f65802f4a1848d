//! What an answer says, once it is known that the bank signed it.

use std::time::Instant;

use serde_json::{Map, Value};

use super::client::Bank;
use super::errors::{failure, is_error};
use crate::domain::ProgramToken;
use crate::jose::{VerifyFault, json};
use crate::upstream::{Answer, CallFailure, FailureClass};

/// Members that only an answer to what was asked has.
const ANSWERING: [&str; 2] = ["tokenUpdated", "result"];

/// The object that the bank signed; no error.
pub(super) struct Said {
    pub(super) fields: Map<String, Value>,
    status: u16,
}

impl Said {
    /// A success that cannot be believed or understood.
    pub(super) fn unusable(&self, reason: &str) -> CallFailure {
        CallFailure::unusable(self.status, reason)
    }

    /// The bank's word that it does not know the token.
    pub(super) fn not_there(&self) -> CallFailure {
        CallFailure::refused(FailureClass::NotThere, self.status, "not-found", None)
    }
}

/// The forms in which an answer comes.
enum Form {
    /// A compact JWS.
    Signed(String),
    /// An object that nothing vouches for.
    Plain(Map<String, Value>),
    /// Neither, and the word for it.
    Other(&'static str),
}

impl Bank {
    /// Reads an answer. Whatever its HTTP status, an error is one, signed or not; nothing else counts
    /// unless it is signed.
    pub(super) fn said(
        &self,
        answer: &Answer,
        deadline: Instant,
        token: Option<&ProgramToken>,
    ) -> Result<Said, CallFailure> {
        let refused = |fields| failure(answer, fields, &self.settings, token);
        match form(&answer.body, &self.settings.jws_field) {
            Form::Signed(compact) => {
                let fields = self.verified(&compact, deadline);
                let fields = fields.map_err(|reason| answer.unusable(reason))?;
                let answers = ANSWERING.iter().any(|name| fields.contains_key(*name));
                if is_error(&fields) || !(answers || answer.is_success()) {
                    return Err(refused(&fields));
                }
                let status = answer.status;
                Ok(Said { fields, status })
            }
            Form::Plain(fields) if is_error(&fields) || !answer.is_success() => {
                Err(refused(&fields))
            }
            Form::Other(_) if !answer.is_success() => Err(refused(&Map::new())),
            Form::Plain(_) => Err(answer.unusable("not-signed")),
            Form::Other(reason) => Err(answer.unusable(reason)),
        }
    }

    /// The payload of a JWS, once its signature is found right.
    fn verified(
        &self,
        compact: &str,
        deadline: Instant,
    ) -> Result<Map<String, Value>, &'static str> {
        let fetch = || {
            let url = &self.settings.verification_url;
            let fetched = (!url.is_empty()).then(|| self.exchange.fetch(url, deadline))?;
            fetched
                .inspect_err(|failure| log::warn!("verification_url gave no key set: {failure}"))
                .ok()
        };
        let verified = self.verification.verify(compact, self.clock.now(), fetch);
        let verified = verified.map_err(VerifyFault::word)?;
        match json::parse(&verified.payload) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err("wrong-schema"),
            Err(_) => Err("not-json"),
        }
    }
}

/// Takes a JWS as bare text, as a JSON text, or in the member that requests have it in.
fn form(body: &[u8], jws_field: &str) -> Form {
    let bare = str::from_utf8(body).map(str::trim).unwrap_or_default();
    if is_compact(bare) {
        return Form::Signed(bare.to_owned());
    }
    match json::parse(body) {
        Ok(Value::String(text)) if is_compact(&text) => Form::Signed(text),
        Ok(Value::Object(fields)) => match fields.get(jws_field) {
            Some(Value::String(compact)) if !jws_field.is_empty() => Form::Signed(compact.clone()),
            _ => Form::Plain(fields),
        },
        Ok(_) => Form::Other("not-signed"),
        Err(_) => Form::Other("not-json"),
    }
}

/// Three parts of base64url: nothing else that may come looks like that.
fn is_compact(text: &str) -> bool {
    let is_part = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

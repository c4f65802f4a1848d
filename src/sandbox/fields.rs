//! The members of a request, and the checks that several operations share.

use serde_json::Value;
use uuid::Uuid;

use super::cards::SandboxCard;
use super::errors::{Refusal, SourceType};
use super::shared::Shared;

/// Members of a body or of a query.
pub(super) struct Fields<'a> {
    members: &'a Value,
    pub(super) source: SourceType,
}

impl<'a> Fields<'a> {
    pub(super) fn new(members: &'a Value, source: SourceType) -> Self {
        Self { members, source }
    }

    /// A member that is text where it is there.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'a str>, Refusal> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::argument("INVALID_FORMAT", name, self.source)),
        }
    }

    /// A member that must be there and not empty.
    pub(super) fn required(&self, name: &'static str) -> Result<&'a str, Refusal> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or(Refusal::argument("CANNOT_BE_NULL", name, self.source))
    }

    /// The correlation id of the request, or a new one. It may have eight digits and a dot in front.
    pub(super) fn correlation_id(&self) -> Result<String, Refusal> {
        let name = "srcCorrelationId";
        let Some(given) = self.text(name)? else {
            return Ok(Uuid::now_v7().to_string());
        };
        let uuid = match given.split_once('.') {
            Some((prefix, uuid)) if prefix.len() == 8 && is_lower_hex(prefix) => uuid,
            _ => given,
        };
        match is_uuid(uuid) {
            true => Ok(given.to_owned()),
            false => Err(Refusal::argument("INVALID_FORMAT", name, self.source)),
        }
    }
}

/// Every operation needs to know which client calls.
pub(super) fn check_client(fields: &Fields<'_>) -> Result<(), Refusal> {
    let name = "srcClientId";
    match is_uuid(fields.required(name)?) {
        true => Ok(()),
        false => Err(Refusal::argument("INVALID_FORMAT", name, fields.source)),
    }
}

/// A token is bound to the service it was made for.
pub(super) fn check_service(
    card: &SandboxCard,
    service: &str,
    source: SourceType,
) -> Result<(), Refusal> {
    match card.service_id == service {
        true => Ok(()),
        false => Err(Refusal::denied("INVALID_VALUE", "serviceId", source)),
    }
}

/// A key that is named must be the one we encrypt to.
pub(super) fn check_key(shared: &Shared, fields: &Fields<'_>) -> Result<(), Refusal> {
    let name = "keyFingerprintId";
    let keys = &shared.keys;
    match fields.text(name)? {
        Some(named) if named != keys.fingerprint && named != keys.kid => {
            Err(Refusal::denied("NOT_FOUND", name, fields.source))
        }
        _ => Ok(()),
    }
}

/// In lower case, as the ids of clients are.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.into_iter().all(is_lower_hex)
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Adds a member to a JSON object.
pub(super) fn add(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
}

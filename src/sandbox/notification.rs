//! A card notification as the other side sends it.

use serde_json::{Value, json};

use super::cards::SandboxCard;
use super::fields::add;
use super::keys::Keys;
use crate::jose::EncryptError;

/// How Mastercard's own library encrypts.
const ENC: (&str, usize) = ("A256GCM", 16);
/// A kid under which the merchant has no key.
const WRONG_KID: &str = "sandbox-nobodys-key";

/// A change of a card that is to be told: the card as it was then.
#[derive(Clone)]
pub(super) struct Notification {
    pub(super) card: SandboxCard,
    /// Whether the token may have changed.
    pub(super) is_refresh: bool,
}

impl Notification {
    /// The body of a request, its payment data encrypted afresh; under a kid nobody knows if that is asked for.
    pub(super) fn body(&self, keys: &Keys, under_wrong_kid: bool) -> Result<Value, EncryptError> {
        let reason = match self.is_refresh {
            true => "TOKEN_REFRESH",
            false => "STATUS_UPDATE",
        };
        let mut element = json!({
            "eventTimeStamp": self.card.changed_at.to_string(),
            "reasonCode": reason,
            "maskedCard": self.card.masked(),
        });
        if self.is_refresh {
            let kid = if under_wrong_kid {
                WRONG_KID
            } else {
                &keys.kid
            };
            let plaintext = json!({ "paymentToken": self.card.token() });
            add(
                &mut element,
                "paymentData",
                keys.encrypt(&plaintext, kid, ENC)?,
            );
        }
        Ok(json!({ "digitalCardUpdateNotifications": [element] }))
    }
}

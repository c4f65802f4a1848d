//! The audit: which acts are recorded, who did them, and from where. Pure: the store keeps the records.
//!
//! Recorded are every giving-out of a number, every change that a person or a system of the merchant
//! asks for, everything that persons read (the commands, and API keys of the role `ops`), refused
//! keys, and what happens to the service itself: start, stop, settings, keys. What the merchant's own
//! systems read is not: no full number leaves that way, it happens at every look of a consumer at a
//! screen, and among so many records nobody would find those that matter.

use std::net::SocketAddr;

/// An act that is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A number, and perhaps a cryptogram, left the service.
    CredentialsIssued,
    CardRegistered,
    CardDeleted,
    CardErased,
    CardHeld,
    CardReleased,
    TokenCommanded,
    ContractStatusTold,
    CardsReconciled,
    /// Bodies were put among what was received.
    DeliveriesReplayed,
    NotificationReplayed,
    CallRetried,
    CallDiscarded,
    ApiKeyCreated,
    ApiKeyRevoked,
    /// A key was refused at the API.
    AccessRefused,
    /// A person read something; the object says what.
    Read,
    ServiceStarted,
    ServiceStopped,
    SettingsLoaded,
    KeysGenerated,
    KeysLoaded,
    KeysRefused,
    /// Stored values are sealed anew under another key: one record when it begins, one when it ends.
    KeysResealed,
    Purged,
    /// The database was copied into a file.
    BackedUp,
    /// Everything was moved into another database.
    DatabaseMoved,
    MaintenanceBegun,
    MaintenanceEnded,
    AuditVerified,
}

impl Act {
    /// The act as it is recorded and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::CredentialsIssued => "credentials.issue",
            Self::CardRegistered => "card.register",
            Self::CardDeleted => "card.delete",
            Self::CardErased => "card.erase",
            Self::CardHeld => "card.hold",
            Self::CardReleased => "card.release",
            Self::TokenCommanded => "token.command",
            Self::ContractStatusTold => "contract.status",
            Self::CardsReconciled => "cards.reconcile",
            Self::DeliveriesReplayed => "deliveries.replay",
            Self::NotificationReplayed => "notification.replay",
            Self::CallRetried => "call.retry",
            Self::CallDiscarded => "call.discard",
            Self::ApiKeyCreated => "api-key.create",
            Self::ApiKeyRevoked => "api-key.revoke",
            Self::AccessRefused => "access.refused",
            Self::Read => "read",
            Self::ServiceStarted => "service.start",
            Self::ServiceStopped => "service.stop",
            Self::SettingsLoaded => "settings.load",
            Self::KeysGenerated => "keys.generate",
            Self::KeysLoaded => "keys.load",
            Self::KeysRefused => "keys.refuse",
            Self::KeysResealed => "keys.reseal",
            Self::Purged => "purge",
            Self::BackedUp => "backup",
            Self::DatabaseMoved => "database.move",
            Self::MaintenanceBegun => "maintenance.on",
            Self::MaintenanceEnded => "maintenance.off",
            Self::AuditVerified => "audit.verify",
        }
    }
}

/// Who acts, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    name: String,
    origin: String,
}

/// A user's name longer than this is cut.
const LONGEST_NAME: usize = 64;

impl Actor {
    /// The service by itself.
    pub fn service() -> Self {
        Self {
            name: "service".to_owned(),
            origin: "service".to_owned(),
        }
    }

    /// Who uses the command line.
    pub fn terminal(user: &str) -> Self {
        let plain = user.chars().filter(|c| !c.is_control());
        Self {
            name: format!("cli:{}", plain.take(LONGEST_NAME).collect::<String>()),
            origin: "terminal".to_owned(),
        }
    }

    /// Whose API key a request came with, if that is known, and the address it came from.
    pub fn api(key: Option<&str>, peer: Option<SocketAddr>) -> Self {
        Self {
            name: key.map_or_else(|| "unknown".to_owned(), |name| format!("api:{name}")),
            origin: peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string()),
        }
    }

    /// The name as it is recorded.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the actor is: a socket's address, `terminal` or `service`.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_is_cut_and_holds_no_control_characters() {
        let actor = Actor::terminal(&format!("a\n\u{1b}[2J{}", "b".repeat(100)));
        assert!(actor.name().starts_with("cli:a[2Jb"));
        assert_eq!(actor.name().len(), "cli:".len() + LONGEST_NAME);
    }
}

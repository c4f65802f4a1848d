//! The audit: which acts are recorded, who did them, and from where. Pure: the store keeps the records.
//!
//! Recorded are every giving-out of a number, every change that a person or a system of the merchant
//! asks for, everything that persons read (the commands, and API keys of the role `ops`), refused
//! keys, and what happens to the service itself: start, stop, settings, keys. What the merchant's own
//! systems read is not: no full number leaves that way, it happens at every look of a consumer at a
//! screen, and among so many records nobody would find those that matter.

use std::net::{IpAddr, SocketAddr};

macro_rules! acts {
    ($($(#[$doc:meta])* $act:ident = $word:literal,)*) => {
        /// An act that is recorded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Act {
            $($(#[$doc])* $act,)*
        }

        impl Act {
            /// Every act there is.
            pub const ALL: &'static [Self] = &[$(Self::$act,)*];

            /// The act as it is recorded and shown.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$act => $word,)*
                }
            }
        }
    };
}

acts! {
    /// A number, and perhaps a cryptogram, left the service.
    CredentialsIssued = "credentials.issue",
    CardRegistered = "card.register",
    CardDeleted = "card.delete",
    CardErased = "card.erase",
    CardHeld = "card.hold",
    CardReleased = "card.release",
    TokenCommanded = "token.command",
    ContractStatusTold = "contract.status",
    CardsReconciled = "cards.reconcile",
    /// Bodies were put among what was received.
    DeliveriesReplayed = "deliveries.replay",
    NotificationReplayed = "notification.replay",
    CallRetried = "call.retry",
    CallDiscarded = "call.discard",
    ApiKeyCreated = "api-key.create",
    ApiKeyRevoked = "api-key.revoke",
    /// A key was refused at the API, or a sender at the public listener.
    AccessRefused = "access.refused",
    /// A person signed in to the console, or out of it.
    SignedIn = "console.sign-in",
    SignedOut = "console.sign-out",
    /// A person read something; the object says what.
    Read = "read",
    ServiceStarted = "service.start",
    ServiceStopped = "service.stop",
    SettingsLoaded = "settings.load",
    KeysGenerated = "keys.generate",
    KeysLoaded = "keys.load",
    KeysRefused = "keys.refuse",
    /// Keys were seen under their names for the first time.
    KeysTrusted = "keys.trust",
    /// Another key stands for a known name from now on.
    KeysApproved = "keys.approve",
    /// Stored values are sealed anew under another key: one record when it begins, one when it ends.
    KeysResealed = "keys.reseal",
    Purged = "purge",
    SchemaMigrated = "schema.migrate",
    /// The database was copied into a file.
    BackedUp = "backup",
    /// Everything was moved into another database.
    DatabaseMoved = "database.move",
    MaintenanceBegun = "maintenance.on",
    MaintenanceEnded = "maintenance.off",
    AuditVerified = "audit.verify",
}

/// Who acts, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    name: String,
    origin: String,
    sudo: Option<String>,
}

/// A user's name longer than this is cut.
const LONGEST_NAME: usize = 64;

impl Actor {
    /// The service by itself.
    pub fn service() -> Self {
        Self {
            name: "service".to_owned(),
            origin: "service".to_owned(),
            sudo: None,
        }
    }

    /// Who uses the command line; and for whom `sudo` says that it was started, if it does.
    pub fn terminal(user: &str, sudo: Option<&str>) -> Self {
        let plain = |name: &str| -> String {
            let plain = name.chars().filter(|c| !c.is_control());
            plain.take(LONGEST_NAME).collect()
        };
        Self {
            name: format!("cli:{}", plain(user)),
            origin: "terminal".to_owned(),
            sudo: sudo.map(plain),
        }
    }

    /// Whose API key a request came with, if that is known, and the address it came from.
    pub fn api(key: Option<&str>, peer: Option<SocketAddr>) -> Self {
        Self {
            name: key.map_or_else(|| "unknown".to_owned(), |name| format!("api:{name}")),
            origin: peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string()),
            sudo: None,
        }
    }

    /// Several requests of one address, or of one network of IPv6, with the same key.
    pub fn at_address(key: Option<&str>, address: Option<IpAddr>) -> Self {
        let origin = address.map(|address| match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(network) => format!("{network}/64"),
        });
        Self {
            origin: origin.unwrap_or_else(|| "unknown".to_owned()),
            ..Self::api(key, None)
        }
    }

    /// The name as it is recorded.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For whom `sudo` says that a command was started: a name and a number in the command's environment.
    pub fn sudo(&self) -> Option<&str> {
        self.sudo.as_deref()
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
        let actor = Actor::terminal(&format!("a\n\u{1b}[2J{}", "b".repeat(100)), None);
        assert!(actor.name().starts_with("cli:a[2Jb"));
        assert_eq!(actor.name().len(), "cli:".len() + LONGEST_NAME);
    }
}

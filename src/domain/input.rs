//! What can be decided upon: one item of a notification, or a registration.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    CardId, Change, CryptogramState, Expiry, Hold, MaskedFields, Rank, ReportedStatus,
    TokenCommand, TokenNumber, TokenStatus,
};

/// An input to [`decide`](super::decide()).
pub enum Input {
    Notice(Notice),
    Registration(Registration),
    /// What Get Card answered.
    CardAnswer(CardAnswer),
    /// Get Card answered that the card is not known there.
    NotThere(NotThere),
    CheckoutAnswer(CheckoutAnswer),
    /// The stored cryptogram is gone: handed out, or run out.
    CryptogramSpent(CryptogramSpent),
    /// The merchant wants the card deleted.
    Delete(Delete),
    /// Mastercard confirmed the deletion.
    DeleteConfirmed(DeleteConfirmed),
    /// The other side did what a token command says.
    TokenCommandDone(TokenCommandDone),
    /// What the program's reads say of a card's tokens.
    TokensRead(TokensRead),
    /// The issuer tells the status of the card contract.
    ContractStatus(ContractStatus),
}

/// One item of a Card Notification, read and opened as far as possible.
pub struct Notice {
    pub card_id: CardId,
    pub rank: Rank,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
    /// Place of arrival: the delivery's sequence and the item's index in it.
    pub sequence: i64,
    pub index: i32,
    /// Keyed hash of the decrypted content; none while it cannot be read.
    pub digest: Option<String>,
    /// An effective item with this identity is already recorded (only for items with a time or an
    /// event id).
    pub is_known: bool,
    pub status: ReportedStatus,
    pub masked: MaskedFields,
    pub payment: Payment,
    /// What this item changed when it was judged before with a part held back.
    pub earlier_changes: Vec<Change>,
}

/// The `paymentData` of an item.
pub enum Payment {
    Absent,
    Opened(PaymentData),
    /// Cannot be opened or read.
    Unreadable(Hold),
}

/// A token number with its expiry, as decrypted or as registered.
#[derive(Clone)]
pub struct PaymentData {
    pub number: TokenNumber,
    pub expiry: Option<Expiry>,
}

/// What the merchant's app says of a card it has stored.
pub struct Registration {
    pub card_id: CardId,
    pub program: Option<String>,
    pub consumer_reference: Option<String>,
    pub masked: MaskedFields,
    pub token: Option<PaymentData>,
    /// Tokens of a program where a card has tokens of its own.
    pub tokens: Vec<SeenToken>,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
}

/// A token that a card is said to have. Its text is not the domain's business.
#[derive(Debug, Clone)]
pub struct SeenToken {
    /// The one under which it is known here; a new one if it is not.
    pub id: String,
    pub last_four: String,
}

/// A card as Get Card answered it.
pub struct CardAnswer {
    pub card_id: CardId,
    /// As of the start of the call, less the clock skew allowed for.
    pub rank: Rank,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
    pub status: ReportedStatus,
    pub masked: MaskedFields,
    pub payment: Payment,
}

/// Mastercard does not know a card.
pub struct NotThere {
    pub card_id: CardId,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
}

/// A verified answer of Checkout.
pub struct CheckoutAnswer {
    pub card_id: CardId,
    /// As of the start of the call, less the clock skew allowed for.
    pub rank: Rank,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
    /// The card's `numberVersion` when the call was made.
    pub asked_for: u32,
    pub data: PaymentData,
    /// The answer's own signed masked card names our card and the last four of its token.
    pub is_consistent: bool,
    /// An answer to this call could not be brought together with our token before.
    pub is_repeated: bool,
}

/// The stored cryptogram of a card is gone.
pub struct CryptogramSpent {
    pub card_id: CardId,
    /// What is known of it from now on.
    pub state: CryptogramState,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
}

/// A request to delete a card.
pub struct Delete {
    pub card_id: CardId,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
}

/// The deletion of a card, confirmed.
pub struct DeleteConfirmed {
    pub card_id: CardId,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
}

/// A token command that was carried out there.
pub struct TokenCommandDone {
    pub card_id: CardId,
    /// The token it was for; none for all of the card.
    pub token: Option<String>,
    pub command: TokenCommand,
    /// Milliseconds since 1970, UTC: the outcome counts as of its answer.
    pub received_at: i64,
}

/// What the program's reads say of a card's tokens.
pub struct TokensRead {
    pub card_id: CardId,
    /// As of the start of the first read: commands count by the same clock.
    pub rank: Rank,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
    pub tokens: Vec<ReadToken>,
    /// Ids of the card's tokens that the read shows at another card.
    pub moved: Vec<String>,
    /// Ids of the card's tokens that the program does not know.
    pub missing: Vec<String>,
    /// The program knows neither the card nor any token of it.
    pub is_not_there: bool,
}

/// One token as it was read.
#[derive(Debug, Clone)]
pub struct ReadToken {
    /// The one under which it is known here; a new one if it is not.
    pub id: String,
    pub last_four: String,
    pub status: TokenStatus,
    pub customer: Option<String>,
    pub expiry: Option<Expiry>,
    pub details: BTreeMap<String, Value>,
}

/// The status of a card contract.
pub struct ContractStatus {
    pub card_id: CardId,
    /// Two digits, such as `05`.
    pub code: String,
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
}

//! What can be decided upon: one item of a notification, or a registration.

use super::{CardId, Change, Expiry, Hold, MaskedFields, Rank, ReportedStatus, TokenNumber};

/// An input to [`decide`](super::decide()).
pub enum Input {
    Notice(Notice),
    Registration(Registration),
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
    /// An effective item with this identity is already recorded (timed items only).
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
    /// Milliseconds since 1970, UTC.
    pub received_at: i64,
}

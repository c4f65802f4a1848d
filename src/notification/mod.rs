//! The wire form of a Card Notification: lenient where Mastercard is loose, strict on identity and
//! status.
//!
//! A request body is an [`Envelope`]; it holds elements, plain or as one JWE; an element becomes an
//! [`Item`]. Nothing here decrypts: what is encrypted is handed on as it came.

mod aliases;
mod envelope;
mod event_time;
mod identity;
mod item;
mod payment_data;
#[cfg(test)]
mod tests;

pub use envelope::{Elements, EncryptedList, Envelope, EnvelopeFault, List, elements};
pub use event_time::event_time;
pub use identity::identity;
pub use item::{Item, PaymentPart, Unreadable};
pub use payment_data::{hold_of, payment_data, payment_json};

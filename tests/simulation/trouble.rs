//! What goes wrong with a call on its way to Mastercard and back.

use crate::support::random::Random;

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// The connection is refused.
    Refused,
    /// No answer; nothing was done there.
    LostBefore,
    /// It was done there; the answer is lost.
    LostAfter,
    Status(u16),
    /// An error in the gateway's form, with its hint.
    Gateway(bool),
    /// Success about another card.
    OtherCard,
    /// Success with another number than its own masked card names.
    OtherNumber,
    WrongSignature,
    NotJson,
    Empty,
    /// A cryptogram that has run out.
    RanOut,
}

pub const TROUBLES: [Trouble; 19] = [
    Trouble::Refused,
    Trouble::LostBefore,
    Trouble::LostAfter,
    Trouble::Status(400),
    Trouble::Status(401),
    Trouble::Status(404),
    Trouble::Status(408),
    Trouble::Status(409),
    Trouble::Status(429),
    Trouble::Status(500),
    Trouble::Status(503),
    Trouble::Gateway(true),
    Trouble::Gateway(false),
    Trouble::OtherCard,
    Trouble::OtherNumber,
    Trouble::WrongSignature,
    Trouble::NotJson,
    Trouble::Empty,
    Trouble::RanOut,
];

/// Mostly none. Trouble comes in every kind.
pub fn random_trouble(random: &mut Random) -> Trouble {
    match random.below(3) {
        0 => random.one_of(&TROUBLES),
        _ => Trouble::None,
    }
}

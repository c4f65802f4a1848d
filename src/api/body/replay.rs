//! The body of a replay: why it is wanted.

use utoipa::ToSchema;

use super::{BodyFault, object, only, text};

/// Why a notification is to be judged anew.
#[derive(ToSchema)]
#[schema(as = Replay)]
#[expect(dead_code, reason = "the shape of the body, for the description")]
pub(in crate::api) struct ReplayBody {
    /// For those who ask later, 1 to 255 characters.
    reason: String,
}

/// Reads why a replay is wanted.
pub(in crate::api) fn replay_reason(body: &[u8]) -> Result<String, BodyFault> {
    let fields = object(body)?;
    only(&fields, "reason")?;
    text(&fields, "reason")?.ok_or(BodyFault::Missing("reason"))
}

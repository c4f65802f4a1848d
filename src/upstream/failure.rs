//! What a failed call means for whoever wanted it.

use std::time::Duration;

use chrono::DateTime;

/// The longest wait that the other side may ask for.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What follows from a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// The same call may succeed later.
    Retry,
    /// The same call will be refused again: a person has to look.
    Refused,
    /// The credential, or what it may do, is refused: every call with it will be.
    Denied,
    /// The other side does not know the card or the token that the call is about.
    NotThere,
}

/// Why a call gave no answer that can be used. Holds nothing of the answer but the other
/// side's own words for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct CallFailure {
    pub class: FailureClass,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// A word of ours in lower case, or the other side's reason with its first detail behind a slash.
    pub reason: String,
    /// How long the other side asks to wait, an hour at most.
    pub retry_after: Option<Duration>,
    /// Whether the other side may have acted on the call. False only where no connection came about.
    pub may_have_arrived: bool,
}

impl CallFailure {
    /// A call that was not made, or did not get as far as being sent.
    pub(crate) fn unsent(class: FailureClass, reason: &str) -> Self {
        Self {
            class,
            status: None,
            reason: reason.to_owned(),
            retry_after: None,
            may_have_arrived: false,
        }
    }

    /// A call to which no whole answer came.
    pub(crate) fn unanswered(reason: &str) -> Self {
        Self {
            may_have_arrived: true,
            ..Self::unsent(FailureClass::Retry, reason)
        }
    }

    /// A success whose content cannot be believed or understood.
    pub(crate) fn unusable(status: u16, reason: &str) -> Self {
        Self {
            status: Some(status),
            ..Self::unanswered(reason)
        }
    }

    /// An answer that is no success.
    pub(crate) fn refused(
        class: FailureClass,
        status: u16,
        reason: &str,
        retry_after: Option<Duration>,
    ) -> Self {
        Self {
            class,
            retry_after,
            ..Self::unusable(status, reason)
        }
    }
}

/// `Retry-After` as seconds or as a date; none if it lies in the past or cannot be read. `now` is in
/// milliseconds since 1970.
pub(super) fn retry_after(value: &str, now: i64) -> Option<Duration> {
    let value = value.trim();
    let seconds = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are as good as the longest wait.
        value.parse().unwrap_or(u64::MAX)
    } else {
        let date = DateTime::parse_from_rfc2822(value).ok()?;
        let milliseconds = date.timestamp_millis().saturating_sub(now);
        u64::try_from(milliseconds).ok()?.div_ceil(1000)
    };
    (seconds > 0).then(|| Duration::from_secs(seconds).min(LONGEST_WAIT))
}

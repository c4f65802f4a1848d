//! When a failed call is made again: full jitter, so that a crowd that failed together does not come
//! back together.

use std::sync::Arc;
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Which share of the span is waited, injected so that tests can set it: a number between 0 and 1.
#[derive(Clone)]
pub struct Jitter(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Jitter {
    /// A random one.
    pub fn random() -> Self {
        Self(Arc::new(random))
    }

    /// What `share` says.
    pub fn from_fn(share: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(share))
    }

    /// The share of this time.
    pub fn share(&self) -> f64 {
        (self.0)()
    }
}

/// Milliseconds until the next attempt: a random share of a span that doubles with each attempt, but
/// not less than the other side asked for. `share` lies between 0 and 1.
pub fn delay(attempts: i32, asked: Option<Duration>, share: f64) -> i64 {
    let doublings = u32::try_from(attempts).unwrap_or(0).min(16);
    let span = (FIRST * 2_u32.pow(doublings)).min(LONGEST);
    let wait = span
        .mul_f64(share.clamp(0.0, 1.0))
        .max(asked.unwrap_or_default());
    i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)
}

/// A random number between 0 and 1.
fn random() -> f64 {
    let mut bytes = [0_u8; 4];
    // Without randomness the whole span is waited: late, but never together too early.
    match openssl::rand::rand_bytes(&mut bytes) {
        Ok(()) => f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_doubles_up_to_a_quarter_of_an_hour() {
        let spans: Vec<i64> = (0..12).map(|n| delay(n, None, 1.0) / 1000).collect();
        assert_eq!(spans, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
        assert_eq!(delay(i32::MAX, None, 1.0), 900_000);
    }

    #[test]
    fn any_share_of_the_span_may_be_waited() {
        assert_eq!(delay(3, None, 0.0), 0);
        assert_eq!(delay(3, None, 0.5), 8_000);
    }

    #[test]
    fn what_the_other_side_asks_for_is_the_least() {
        let minute = Some(Duration::from_secs(60));
        assert_eq!(delay(1, minute, 0.5), 60_000);
        assert_eq!(delay(9, minute, 1.0), 900_000);
    }
}

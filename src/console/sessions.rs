//! Who is signed in to the console of this process.
//!
//! Sessions are kept in memory: a restart signs everybody out, and where several processes serve the
//! console, each knows its own. A session holds no key, only the digest by which the key is looked up
//! anew with each request: once it is revoked, its sessions are worth nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use openssl::error::ErrorStack;

use crate::api::access::{digest, random_text};

/// A session that is not used for so long has ended (PCI DSS 8.2.8).
const IDLE_MS: i64 = 15 * 60_000;
/// A session ends after a shift, used or not.
const LONGEST_MS: i64 = 10 * 60 * 60_000;
/// More are signed in nowhere; the one that was used longest ago gives way.
const MOST: usize = 1000;

/// The sessions, by the digest of their token. Cheap to clone.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<HashMap<String, Session>>>);

/// Somebody's session.
#[derive(Clone)]
pub struct Session {
    /// Of the API key it was begun with.
    pub key_digest: String,
    /// What a form must carry to be this session's.
    pub form_token: String,
    /// Milliseconds since 1970, UTC.
    begun_at: i64,
    used_at: i64,
}

impl Session {
    fn has_ended(&self, now: i64) -> bool {
        now - self.used_at >= IDLE_MS || now - self.begun_at >= LONGEST_MS
    }
}

impl Sessions {
    /// Begins a session; returns its token, which is kept nowhere here.
    pub fn begin(&self, key_digest: String, now: i64) -> Result<String, ErrorStack> {
        let token = random_text()?;
        let session = Session {
            key_digest,
            form_token: random_text()?,
            begun_at: now,
            used_at: now,
        };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| !session.has_ended(now));
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used_at);
            if let Some(oldest) = oldest.map(|(digest, _)| digest.clone()) {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(digest(&token), session);
        Ok(token)
    }

    /// The session of a token, which is used herewith; none if it has ended.
    pub fn take_up(&self, token: &str, now: i64) -> Option<Session> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let token = digest(token);
        if sessions.get(&token)?.has_ended(now) {
            sessions.remove(&token);
            return None;
        }
        let session = sessions.get_mut(&token)?;
        session.used_at = now;
        Some(session.clone())
    }

    /// Ends the session of a token.
    pub fn end(&self, token: &str) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&digest(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn a_session_ends_when_it_is_idle_and_after_a_shift_in_any_case() {
        let sessions = Sessions::default();
        let token = sessions.begin("key".to_owned(), 0).unwrap();
        let mut now = 0;
        while now < LONGEST_MS {
            assert!(sessions.take_up(&token, now).is_some(), "{now}");
            now += 14 * MINUTE;
        }
        assert!(sessions.take_up(&token, now).is_none());
        let token = sessions.begin("key".to_owned(), 0).unwrap();
        assert!(sessions.take_up(&token, 15 * MINUTE).is_none());
        assert!(
            sessions.take_up(&token, 0).is_none(),
            "it has ended for good"
        );
    }

    #[test]
    fn a_token_is_long_unlike_any_other_and_not_kept() {
        let sessions = Sessions::default();
        let tokens = [(); 3].map(|()| sessions.begin("key".to_owned(), 0).unwrap());
        assert!(tokens.iter().all(|token| token.len() == 43));
        assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2]);
        let kept = sessions.0.lock().unwrap();
        for (digest, session) in kept.iter() {
            assert!(!tokens.contains(digest) && !tokens.contains(&session.form_token));
        }
    }

    #[test]
    fn of_too_many_sessions_the_one_used_longest_ago_gives_way() {
        let sessions = Sessions::default();
        let first = sessions.begin("key".to_owned(), 0).unwrap();
        let second = sessions.begin("key".to_owned(), 1).unwrap();
        for now in 2..=MOST as i64 {
            sessions.begin("key".to_owned(), now).unwrap();
        }
        assert!(sessions.take_up(&first, MOST as i64).is_none());
        assert!(sessions.take_up(&second, MOST as i64).is_some());
    }
}

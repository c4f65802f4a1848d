//! Counts by key, a window of time at a time and within bounds.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// What has come by key, each in a window of its own that begins with the first.
pub struct Tally<K> {
    window: Duration,
    /// Keys that are counted one by one. What comes beyond them is counted together.
    most: usize,
    windows: HashMap<K, Window>,
}

struct Window {
    begun: Instant,
    count: u64,
}

/// One that was counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Counted {
    /// The how manieth of its window it is, from 1.
    pub nth: u64,
    /// How many the window before had, if this one begins another.
    pub before: u64,
    /// How long the window goes on.
    pub left: Duration,
}

impl<K: Eq + Hash> Tally<K> {
    pub fn new(window: Duration, most: usize) -> Self {
        Self {
            window,
            most,
            windows: HashMap::new(),
        }
    }

    /// Counts one; under `rest` where too many other keys are counted.
    pub fn count(&mut self, key: K, rest: K, now: Instant) -> Counted {
        let key = match self.is_full() && !self.windows.contains_key(&key) {
            true => rest,
            false => key,
        };
        let new = || Window {
            begun: now,
            count: 0,
        };
        let window = self.windows.entry(key).or_insert_with(new);
        let passed = now.saturating_duration_since(window.begun);
        let ended = match passed >= self.window {
            true => std::mem::replace(window, new()).count,
            false => 0,
        };
        window.count = window.count.saturating_add(1);
        let passed = now.saturating_duration_since(window.begun);
        Counted {
            nth: window.count,
            before: ended,
            left: self.window.saturating_sub(passed),
        }
    }

    /// Whether no further key would be counted by itself.
    pub fn is_full(&self) -> bool {
        self.windows.len() >= self.most
    }

    /// Takes out the windows that are over, with what they counted.
    pub fn take_ended(&mut self, now: Instant) -> Vec<(K, u64)> {
        let over = |window: &Window| now.saturating_duration_since(window.begun) >= self.window;
        let ended = self.windows.extract_if(|_, window| over(window));
        ended.map(|(key, window)| (key, window.count)).collect()
    }

    /// Takes out all windows, with what they have counted so far.
    pub fn take_all(&mut self) -> Vec<(K, u64)> {
        let all = self.windows.drain();
        all.map(|(key, window)| (key, window.count)).collect()
    }

    /// How many keys are counted.
    #[cfg(test)]
    pub fn keys(&self) -> usize {
        self.windows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_its_first_one_and_tells_what_the_one_before_had() {
        let mut tally = Tally::new(Duration::from_secs(60), 10);
        let begun = Instant::now();
        let mut count = |key, seconds| {
            let counted = tally.count(key, "rest", begun + Duration::from_secs(seconds));
            (counted.nth, counted.before, counted.left.as_secs())
        };
        assert_eq!(count("one", 0), (1, 0, 60));
        assert_eq!(count("one", 59), (2, 0, 1));
        assert_eq!(count("other", 59), (1, 0, 60));
        assert_eq!(count("one", 60), (1, 2, 60));
        let now = begun + Duration::from_secs(119);
        assert_eq!(tally.take_ended(now), [("other", 1)]);
        assert_eq!(tally.take_all(), [("one", 1)]);
    }

    #[test]
    fn more_keys_than_are_told_apart_count_together() {
        let mut tally = Tally::new(Duration::from_secs(60), 3);
        let now = Instant::now();
        let nth: Vec<u64> = (1..=5).map(|key| tally.count(key, 0, now).nth).collect();
        assert_eq!(nth, [1, 1, 1, 1, 2]);
        assert_eq!(tally.count(3, 0, now).nth, 2, "it is known already");
        assert_eq!(tally.keys(), 4);
    }
}

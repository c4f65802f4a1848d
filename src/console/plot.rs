//! A plot of the last hour, minute by minute, as SVG without a style of its own.

use crate::store::InMinute;

/// Minutes of a plot.
pub const MINUTES: i64 = 60;
/// The plot's height in its own units; a minute is 10 wide.
const HEIGHT: i64 = 100;

/// How many of something there were in each of the last minutes.
pub struct Plot {
    pub title: &'static str,
    pub total: i64,
    /// In the busiest minute.
    pub most: i64,
    pub bars: Vec<Bar>,
}

/// One minute.
pub struct Bar {
    pub x: i64,
    pub y: i64,
    pub height: i64,
}

impl Plot {
    /// The plot of what is counted under these words; `last` is the minute at its right end.
    pub fn new(title: &'static str, counted: &[InMinute], words: &[&str], last: i64) -> Self {
        let mut counts = [0; MINUTES as usize];
        for minute in counted.iter().filter(|it| words.contains(&&*it.what)) {
            let place = usize::try_from(MINUTES - 1 - (last - minute.minute)).ok();
            if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
                *count += minute.count;
            }
        }
        let most = counts.iter().copied().max().unwrap_or_default();
        let bars = (0..).zip(counts).filter(|(_, count)| *count > 0);
        let bar = |(place, count): (i64, i64)| {
            // One is seen beside many.
            let height = (count * HEIGHT / most).max(2);
            Bar {
                x: place * 10,
                y: HEIGHT - height,
                height,
            }
        };
        Self {
            title,
            total: counts.iter().sum(),
            most,
            bars: bars.map(bar).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(minute: i64, what: &str, count: i64) -> InMinute {
        let what = what.to_owned();
        InMinute {
            minute,
            what,
            count,
        }
    }

    #[test]
    fn the_last_minute_stands_at_the_right_and_the_busiest_is_the_highest() {
        let all = [
            counted(1000, "parked", 3),
            counted(1000, "quarantined", 1),
            counted(999, "parked", 1),
            counted(999, "applied", 50),
            counted(941, "parked", 2),
            counted(940, "parked", 9),
        ];
        let plot = Plot::new("Held", &all, &["parked", "quarantined"], 1000);
        let bars = plot.bars.iter().map(|bar| (bar.x, bar.y, bar.height));
        assert_eq!(
            Vec::from_iter(bars),
            [(0, 50, 50), (580, 75, 25), (590, 0, 100)]
        );
        assert_eq!((plot.total, plot.most), (7, 4));
    }

    #[test]
    fn nothing_is_a_plot_too() {
        let plot = Plot::new("Accepted", &[], &["accepted"], 1000);
        assert_eq!((plot.total, plot.most, plot.bars.len()), (0, 0, 0));
    }
}

//! A plot of the last hour, minute by minute, as SVG without a style of its own.

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
    /// The plot of counts by minute; `last` is the minute at its right end.
    pub fn new(title: &'static str, last: i64, counts: impl Iterator<Item = (i64, i64)>) -> Self {
        let place = |minute: i64| MINUTES - 1 - (last - minute);
        let mut shown: Vec<(i64, i64)> = counts
            .map(|(minute, count)| (place(minute), count))
            .filter(|(place, count)| (0..MINUTES).contains(place) && *count > 0)
            .collect();
        shown.sort_unstable();
        let most = shown
            .iter()
            .map(|(_, count)| *count)
            .max()
            .unwrap_or_default();
        let bar = |(place, count): &(i64, i64)| {
            // One is seen beside many.
            let height = (count * HEIGHT / most.max(1)).max(2);
            Bar {
                x: place * 10,
                y: HEIGHT - height,
                height,
            }
        };
        Self {
            title,
            total: shown.iter().map(|(_, count)| count).sum(),
            most,
            bars: shown.iter().map(bar).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_stands_at_the_right_and_the_busiest_is_the_highest() {
        let counts = [(1000, 4), (999, 1), (941, 2), (940, 9), (998, 0)];
        let plot = Plot::new("Accepted", 1000, counts.into_iter());
        let bars: Vec<_> = plot
            .bars
            .iter()
            .map(|bar| (bar.x, bar.y, bar.height))
            .collect();
        assert_eq!(bars, [(0, 50, 50), (580, 75, 25), (590, 0, 100)]);
        assert_eq!((plot.total, plot.most), (7, 4));
    }

    #[test]
    fn nothing_is_a_plot_too() {
        let plot = Plot::new("Accepted", 1000, [].into_iter());
        assert_eq!((plot.total, plot.most, plot.bars.len()), (0, 0, 0));
    }
}

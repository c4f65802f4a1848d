//! A line of the log stays one line, whatever is in it.

use log::kv::Value as Field;
use log::{Level, Record};
use serde_json::Value;

use super::logs::{human_text, json_text};

/// What could end a line or change how it is shown, and two that only look so.
const UNFIT: [&str; 16] = [
    "\r",
    "\n",
    "\r\n",
    "\u{2028}",
    "\u{2029}",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{9b}31m",
    "\0",
    "\t",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\\n",
    "\"}",
];

fn is_one_line(line: &str) -> bool {
    let turns = "\u{2028}\u{2029}\u{202e}\u{2066}\u{200f}";
    let unfit = |c: char| c.is_control() || turns.contains(c);
    !line.is_empty() && !line.contains(unfit)
}

#[test]
fn w30_ten_thousand_events_are_ten_thousand_lines_that_are_read_as_they_were_told() {
    let mut read = 0;
    for number in 0..10_000 {
        let unfit = UNFIT[number % UNFIT.len()];
        // In the message, in a field and in the target; where in it varies.
        let text = format!("{}{unfit}{number}", "x".repeat(number % 7));
        let pairs = [("peer", Field::from(text.as_str()))];
        let mut record = Record::builder();
        record.level(Level::Warn).target(&text).key_values(&pairs);
        let (json, human) = (
            json_text(
                "now".to_owned(),
                &record.args(format_args!("told {text}")).build(),
            ),
            human_text(&record.args(format_args!("told {text}")).build()),
        );
        assert!(is_one_line(&json), "{json:?}");
        assert!(is_one_line(&human), "{human:?}");
        let event: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(event["message"], format!("told {text}"));
        assert_eq!(event["peer"], text.as_str());
        assert_eq!(event["target"], text.as_str());
        read += 1;
    }
    println!("W-30 {read} of 10000 events were one line each, read as they were told");
}

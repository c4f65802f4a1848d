//! What is wrong with how notifications are to be read, where no single value shows it.

use std::collections::BTreeSet;

use crate::domain::{ReportedStatus, WireForm};

/// Seconds; a clock that is wrong by more could block a card for longer than a day.
const MOST_AHEAD: i64 = 86_400;

/// The first mistake, with the setting it is in.
pub(super) fn mistake(wire: &WireForm) -> Option<String> {
    let published = |word: &&String| {
        let word = ReportedStatus::from_word(word);
        !matches!(word, ReportedStatus::Unknown(_))
    };
    if wire.event_time_fields.is_empty() {
        return Some("notification.event_time_fields: the list is empty".to_owned());
    }
    if let Some(mistake) = name_mistake(wire) {
        return Some(mistake);
    }
    if let Some(word) = wire.status_words.keys().find(published) {
        return Some(format!(
            "notification.status_words: {word} has its own meaning"
        ));
    }
    let in_range = (0..=MOST_AHEAD).contains(&wire.max_ahead);
    (!in_range).then(|| format!("notification.max_ahead must be from 0 to {MOST_AHEAD}"))
}

/// Each name of a field stands for one thing only: nothing may be read as something else.
fn name_mistake(wire: &WireForm) -> Option<String> {
    let mut lists = vec![
        ("event_time_fields".to_owned(), &wire.event_time_fields),
        ("event_id_fields".to_owned(), &wire.event_id_fields),
    ];
    let of_field = |(field, names)| (format!("aliases.{field}"), names);
    lists.extend(wire.aliases.iter().map(of_field));
    let mut taken = BTreeSet::from(WireForm::FIELDS);
    for (setting, names) in &lists {
        for name in names.iter() {
            if name.is_empty() {
                return Some(format!("notification.{setting}: a name is empty"));
            }
            if !taken.insert(name) {
                return Some(format!(
                    "notification.{setting}: {name} has a meaning already"
                ));
            }
        }
    }
    None
}

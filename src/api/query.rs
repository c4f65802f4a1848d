//! What stands in paths and queries, read strictly.

use super::refusals::{WRONG_CARD_ID, WRONG_LIMIT, WRONG_QUERY};
use crate::domain::CardId;
use crate::receiver::problem::Problem;

/// Rows of a page, when the caller does not say.
const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1000;

/// The card that a path names.
pub(crate) fn card_id(text: &str) -> Result<CardId, Problem> {
    CardId::parse(text).map_err(|fault| WRONG_CARD_ID.because(fault))
}

/// PostgreSQL cannot hold U+0000, and no id or reference has any control character.
pub(crate) fn no_control(text: Option<&str>) -> Result<(), Problem> {
    if text.is_some_and(|text| text.chars().any(char::is_control)) {
        return Err(WRONG_QUERY.because("a parameter holds a control character"));
    }
    Ok(())
}

/// The number of rows asked for.
pub(super) fn limit(asked: Option<i64>) -> Result<i64, Problem> {
    let limit = asked.unwrap_or(DEFAULT_LIMIT);
    match (1..=MAX_LIMIT).contains(&limit) {
        true => Ok(limit),
        false => Err(WRONG_LIMIT.because(format!("limit is a number from 1 to {MAX_LIMIT}"))),
    }
}

/// The place in the sequence of events behind which to read, if one is named.
pub(super) fn cursor(text: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(cursor) if is_digits => Ok(Some(cursor)),
        _ => Err(WRONG_QUERY.because("a cursor is the id of an event, or 0")),
    }
}

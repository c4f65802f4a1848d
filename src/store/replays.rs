//! Replays of recorded items: who asked for one, why, when, and what came of it.

use diesel::prelude::*;
use uuid::Uuid;

use super::notifications::{from_json, to_json};
use super::schema::replays;
use super::{StoreError, Tx};
use crate::domain::Change;

/// A replay of one item.
#[derive(Debug, Clone)]
pub struct Replay {
    pub notification_id: String,
    /// Milliseconds since 1970, UTC.
    pub at: i64,
    pub operator: String,
    pub reason: String,
    pub verdict: String,
    pub rule: String,
    pub changes: Vec<Change>,
    /// Place among the inputs decided for the card; none where the item's own row tells it.
    pub card_order: Option<i64>,
}

impl Replay {
    /// One that is asked for; what comes of it is added when it is carried out.
    pub fn asked(notification_id: &str, at: i64, operator: &str, reason: &str) -> Self {
        Self {
            notification_id: notification_id.to_owned(),
            at,
            operator: operator.to_owned(),
            reason: reason.to_owned(),
            verdict: String::new(),
            rule: String::new(),
            changes: Vec::new(),
            card_order: None,
        }
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = replays)]
struct Stored {
    id: String,
    notification_id: String,
    at: i64,
    operator: String,
    reason: String,
    verdict: String,
    rule: String,
    changes: String,
    card_order: Option<i64>,
}

impl Tx<'_> {
    /// Records a replay, in the transaction that carries it out.
    pub fn record_replay(&mut self, replay: &Replay) -> Result<(), StoreError> {
        let stored = Stored {
            id: Uuid::now_v7().to_string(),
            notification_id: replay.notification_id.clone(),
            at: replay.at,
            operator: replay.operator.clone(),
            reason: replay.reason.clone(),
            verdict: replay.verdict.clone(),
            rule: replay.rule.clone(),
            changes: to_json(&replay.changes)?,
            card_order: replay.card_order,
        };
        diesel::insert_into(replays::table)
            .values(&stored)
            .execute(self.connection)?;
        Ok(())
    }

    /// The replays of an item, the first one first.
    pub fn replays_of(&mut self, notification_id: &str) -> Result<Vec<Replay>, StoreError> {
        let rows: Vec<Stored> = replays::table
            .filter(replays::notification_id.eq(notification_id))
            .order((replays::at, replays::id))
            .select(Stored::as_select())
            .load(self.connection)?;
        let read = |row: Stored| -> Result<Replay, StoreError> {
            Ok(Replay {
                notification_id: row.notification_id,
                at: row.at,
                operator: row.operator,
                reason: row.reason,
                verdict: row.verdict,
                rule: row.rule,
                changes: from_json(&row.changes)?,
                card_order: row.card_order,
            })
        };
        let replays: Vec<Replay> = rows.into_iter().map(read).collect::<Result<_, _>>()?;
        let item = self.notification(notification_id)?;
        let card = item.and_then(|item| item.card_id);
        let shown = |replay: Replay| {
            let changes = self.shown_changes(card.as_deref(), replay.changes)?;
            Ok(Replay { changes, ..replay })
        };
        replays.into_iter().map(shown).collect()
    }
}

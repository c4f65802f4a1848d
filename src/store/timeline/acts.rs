//! What was done to a card by somebody, out of the audit.

use diesel::prelude::*;

use super::{Bound, Happened, Moment};
use crate::store::schema::{audit, notifications, outbox};
use crate::store::{AuditRecord, StoreError, Tx};

/// What an act was done to.
#[derive(Clone, Copy)]
enum Upon {
    Card,
    Calls,
    Notifications,
}

impl Tx<'_> {
    /// What was done to the card itself, to its calls and to its notifications.
    pub(super) fn acts_upon(
        &mut self,
        card: &str,
        bound: &Bound,
        limit: i64,
    ) -> Result<Vec<Moment>, StoreError> {
        let mut records = Vec::new();
        // One after the other: PostgreSQL reads all of the audit for a condition with an OR.
        for upon in [Upon::Card, Upon::Calls, Upon::Notifications] {
            records.extend(self.records_upon(upon, card, bound, limit)?);
        }
        records.sort_by(|one, other| {
            let order = |record: &AuditRecord| (record.at, record.writer.clone(), record.place);
            order(other).cmp(&order(one))
        });
        let moment = |record: AuditRecord| Moment {
            at: record.at,
            id: format!("{}.{}", record.writer, record.place),
            happened: Happened::Act(record),
        };
        Ok(records.into_iter().map(moment).collect())
    }

    fn records_upon(
        &mut self,
        upon: Upon,
        card: &str,
        bound: &Bound,
        limit: i64,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        use audit::dsl::{at, object, place, writer};
        let (chain, number) = bound.id.split_once('.').unwrap_or_default();
        let number: i64 = number.parse().unwrap_or_default();
        let earlier = writer.eq(chain).and(place.lt(number));
        let behind = at
            .lt(bound.below)
            .or(at.eq(bound.at).and(writer.lt(chain).or(earlier)));
        let records = audit::table
            .filter(behind)
            .order((at.desc(), writer.desc(), place.desc()))
            .limit(limit)
            .select(AuditRecord::as_select())
            .into_boxed();
        let calls = outbox::table.filter(outbox::card_id.eq(card));
        let items = notifications::table.filter(notifications::card_id.eq(card));
        let records = match upon {
            Upon::Card => records.filter(object.eq(card)),
            Upon::Calls => records.filter(object.eq_any(calls.select(outbox::id))),
            Upon::Notifications => records.filter(object.eq_any(items.select(notifications::id))),
        };
        Ok(records.load(self.connection)?)
    }
}

//! A search among recorded items that ends in time, however many there are: a page looks through so many
//! of them at most, and begins where the time that is asked for does.

use diesel::prelude::*;

use super::reading::chosen;
use super::{NotificationFilter, NotificationView};
use crate::store::schema::notifications;
use crate::store::{StoreError, Tx};

/// Items are recorded in the order of their arrival but for this, in milliseconds: clocks differ.
const DISORDER: i64 = 10 * 60_000;

/// A page of what was found.
pub struct FoundNotifications {
    pub rows: Vec<NotificationView>,
    /// The cursor of the next page: there is more to look through.
    pub next: Option<String>,
}

impl Tx<'_> {
    /// Items, the latest arrival first, out of the next `most`.
    pub fn search_notifications(
        &mut self,
        filter: &NotificationFilter,
        most: i64,
    ) -> Result<FoundNotifications, StoreError> {
        let mut filter = filter.clone();
        if let (None, Some(until)) = (&filter.after, filter.until) {
            filter.after = self.first_received_from(until.saturating_add(DISORDER))?;
        }
        let Some(last) = self.item_behind(&filter, most)? else {
            let rows = self.list_notifications(&filter)?;
            let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= filter.limit);
            let next = rows.last().filter(|_| is_full).map(|row| row.id.clone());
            return Ok(FoundNotifications { rows, next });
        };
        filter.down_to = Some(last.place);
        let rows = self.list_notifications(&filter)?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= filter.limit);
        let is_over = filter
            .since
            .is_some_and(|since| last.received_at < since.saturating_sub(DISORDER));
        let next = match rows.last().filter(|_| is_full) {
            Some(row) => Some(row.id.clone()),
            None => (!is_over).then_some(last.id),
        };
        Ok(FoundNotifications { rows, next })
    }

    /// The item that ends what a search looks through, if it does not come to an end before.
    fn item_behind(
        &mut self,
        filter: &NotificationFilter,
        most: i64,
    ) -> Result<Option<Last>, StoreError> {
        let before = match &filter.after {
            Some(id) => self.place_of(id)?,
            None => None,
        };
        // Only what an index holds: it is passed over quickly.
        let indexed = NotificationFilter {
            card_id: filter.card_id.clone(),
            verdict: filter.verdict.clone(),
            ..NotificationFilter::default()
        };
        let place: Option<(i64, i32)> = chosen(&indexed, before)
            .order((
                notifications::delivery_sequence.desc(),
                notifications::item_index.desc(),
            ))
            .offset(most)
            .limit(1)
            .select((notifications::delivery_sequence, notifications::item_index))
            .first(self.connection)
            .optional()?;
        let Some(place) = place else {
            return Ok(None);
        };
        let (id, received_at) = notifications::table
            .filter(notifications::delivery_sequence.eq(place.0))
            .filter(notifications::item_index.eq(place.1))
            .select((notifications::id, notifications::received_at))
            .first(self.connection)?;
        Ok(Some(Last {
            id,
            place,
            received_at,
        }))
    }

    /// The first item that was received at this time or later, by halves: receipts rise with the order
    /// of arrival, and no index knows them.
    fn first_received_from(&mut self, time: i64) -> Result<Option<String>, StoreError> {
        let ends: (Option<i64>, Option<i64>) = notifications::table
            .select((
                diesel::dsl::min(notifications::delivery_sequence),
                diesel::dsl::max(notifications::delivery_sequence),
            ))
            .first(self.connection)?;
        let (Some(mut low), Some(mut high)) = ends else {
            return Ok(None);
        };
        let mut found = None;
        while low <= high {
            let middle = low + (high - low) / 2;
            let at_middle: Option<(String, i64, i64)> = notifications::table
                .filter(notifications::delivery_sequence.ge(middle))
                .order((notifications::delivery_sequence, notifications::item_index))
                .select((
                    notifications::id,
                    notifications::delivery_sequence,
                    notifications::received_at,
                ))
                .first(self.connection)
                .optional()?;
            match at_middle {
                Some((id, _, received_at)) if received_at >= time => {
                    found = Some(id);
                    high = middle - 1;
                }
                Some((_, sequence, _)) => low = sequence + 1,
                None => high = middle - 1,
            }
        }
        Ok(found)
    }
}

/// The last item that a search looks at.
struct Last {
    id: String,
    place: (i64, i32),
    received_at: i64,
}

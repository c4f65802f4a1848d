//! Erasing: of a card that has ended, nothing stays but its id, its state and the time; of what came for it,
//! only when it came and how it was judged.

use diesel::prelude::*;

use super::connection::on_backend;
use super::schema::{
    answers, card_holds, card_tokens, cards, erasures, events, notifications, outbox,
    registrations, replays,
};
use super::{StoreError, Tx};
use crate::domain::{CardId, TerminalState};

impl Tx<'_> {
    /// Destroys what is kept of a card, everywhere. Its lock is held; it has ended.
    pub fn erase_card(&mut self, id: &CardId, now: i64) -> Result<(), StoreError> {
        let Some(mut row) = self.card(id)? else {
            return Ok(());
        };
        self.wipe_numbers(id)?;
        self.erase_items(id)?;
        self.erase_answers(id)?;
        diesel::delete(registrations::table.filter(registrations::card_id.eq(id.as_str())))
            .execute(self.connection)?;
        diesel::update(events::table.filter(events::card_id.eq(id.as_str())))
            .set(events::data.eq("{}"))
            .execute(self.connection)?;
        // An answer that is kept for a repeated request shows the card.
        self.forget_answers_that_show(id)?;
        row.card.erase(now);
        self.save_card(&row.card, None, now)?;
        diesel::delete(card_tokens::table.filter(card_tokens::card_id.eq(id.as_str())))
            .execute(self.connection)?;
        self.note_erasure(id, now, Some(now))
    }

    /// Leaves of a card's items only when they came and how they were judged; of its calls, those under way.
    /// Comes again after each item that comes for an erased card.
    pub fn erase_items(&mut self, id: &CardId) -> Result<(), StoreError> {
        let of_card = notifications::table.filter(notifications::card_id.eq(id.as_str()));
        let ids: Vec<String> = of_card.select(notifications::id).load(self.connection)?;
        diesel::delete(replays::table.filter(replays::notification_id.eq_any(ids)))
            .execute(self.connection)?;
        diesel::update(of_card)
            .set((
                notifications::event_time.eq(None::<i64>),
                notifications::reason.eq(None::<String>),
                notifications::status.eq(None::<String>),
                notifications::identity.eq(None::<String>),
                notifications::unique_identity.eq(None::<String>),
                notifications::identity_source.eq(None::<Vec<u8>>),
                notifications::content.eq(None::<Vec<u8>>),
                notifications::flags.eq("[]"),
                notifications::changes.eq("[]"),
                notifications::trace.eq("[]"),
            ))
            .execute(self.connection)?;
        let ended = outbox::table
            .filter(outbox::card_id.eq(id.as_str()))
            .filter(outbox::ended_at.is_not_null());
        diesel::delete(ended).execute(self.connection)?;
        Ok(())
    }

    fn erase_answers(&mut self, id: &CardId) -> Result<(), StoreError> {
        diesel::update(answers::table.filter(answers::card_id.eq(id.as_str())))
            .set((
                answers::content.eq(None::<Vec<u8>>),
                answers::flags.eq("[]"),
                answers::changes.eq("[]"),
                answers::trace.eq("[]"),
            ))
            .execute(self.connection)?;
        Ok(())
    }

    /// Notes that a card is to be erased, or is.
    pub fn note_erasure(
        &mut self,
        id: &CardId,
        asked_at: i64,
        erased_at: Option<i64>,
    ) -> Result<(), StoreError> {
        let row = (
            erasures::card_id.eq(id.as_str()),
            erasures::asked_at.eq(asked_at),
            erasures::erased_at.eq(erased_at),
        );
        on_backend!(self.connection, c => {
            diesel::insert_into(erasures::table)
                .values(row)
                .on_conflict(erasures::card_id)
                .do_update()
                .set(erasures::erased_at.eq(erased_at))
                .execute(c)
        })?;
        Ok(())
    }

    /// Cards that are to be erased, whose end is confirmed, and that are on no hold.
    pub fn due_erasures(&mut self, limit: i64) -> Result<Vec<CardId>, StoreError> {
        let confirmed = [TerminalState::Cancelled, TerminalState::Deleted];
        let ids: Vec<String> = erasures::table
            .inner_join(cards::table.on(erasures::card_id.eq(cards::id)))
            .filter(erasures::erased_at.is_null())
            .filter(cards::status.eq_any(confirmed.map(TerminalState::word)))
            .filter(cards::id.ne_all(card_holds::table.select(card_holds::card_id)))
            .order(erasures::asked_at)
            .limit(limit)
            .select(erasures::card_id)
            .load(self.connection)?;
        Ok(ids.iter().filter_map(|id| CardId::parse(id).ok()).collect())
    }
}

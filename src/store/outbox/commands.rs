//! Token commands in the outbox: given, superseded, carried out in the order they were given.

use diesel::dsl::max;
use diesel::prelude::*;
use uuid::Uuid;

use super::{JobState, JobView, NewJob, TOKEN_STATUS};
use crate::domain::{CardId, CommandState, OpenCommand, TokenCommand};
use crate::store::schema::outbox;
use crate::store::{StoreError, Tx};

/// The priority of a command: behind deletions, before what is only prepared or looked up.
const PRIORITY: i32 = 1;
const DAMAGED: StoreError = StoreError::Damaged("a token command cannot be read");

#[derive(Queryable)]
struct Stored {
    id: String,
    token_id: Option<String>,
    command: Option<String>,
    state: String,
    attempts: i32,
}

impl Tx<'_> {
    /// Queues a command for one token of a card, or for all of them. The card's lock is held.
    pub fn queue_command(
        &mut self,
        card_id: &CardId,
        token_id: Option<&str>,
        command: TokenCommand,
        now: i64,
    ) -> Result<JobView, StoreError> {
        let place = self.next_place(card_id)?;
        let new = NewJob {
            id: Uuid::now_v7().to_string(),
            kind: TOKEN_STATUS,
            card_id: card_id.as_str(),
            number_version: None,
            notification_id: None,
            state: JobState::Waiting.name(),
            // Several may wait: each was asked for, and their order counts.
            open_key: None,
            priority: PRIORITY,
            attempts: 0,
            next_at: now,
            created_at: now,
            fence: 0,
            lease_until: None,
            command: Some(command.word()),
            token_id,
            command_order: Some(place),
        };
        diesel::insert_into(outbox::table)
            .values(&new)
            .execute(self.connection)?;
        self.job(&new.id)?.ok_or(DAMAGED)
    }

    /// The commands of a card that are not over, in the order they were given.
    pub fn open_commands(&mut self, card_id: &CardId) -> Result<Vec<OpenCommand>, StoreError> {
        let open = [JobState::Waiting, JobState::Running, JobState::Parked].map(JobState::name);
        let rows: Vec<Stored> = outbox::table
            .filter(outbox::card_id.eq(card_id.as_str()))
            .filter(outbox::command.is_not_null())
            .filter(outbox::state.eq_any(open))
            .order(outbox::command_order)
            .select((
                outbox::id,
                outbox::token_id,
                outbox::command,
                outbox::state,
                outbox::attempts,
            ))
            .load(self.connection)?;
        rows.into_iter().map(open_command).collect()
    }

    /// Ends the waiting and parked deactivations of a card whose tokens are deleted.
    pub(super) fn end_deactivations(
        &mut self,
        card_id: &CardId,
        now: i64,
    ) -> Result<(), StoreError> {
        let open = self.open_commands(card_id)?.into_iter();
        let wanted = open.filter(|open| open.command == TokenCommand::Deactivate);
        let ids: Vec<String> = wanted.map(|open| open.job).collect();
        self.end_commands(&ids, JobState::Done, "found done there", now)
    }

    /// Takes the open commands for a token along to the card that has it now, behind those of that card.
    /// The locks of both cards are held.
    pub fn move_commands(&mut self, token_id: &str, to: &CardId) -> Result<(), StoreError> {
        let may = [JobState::Waiting, JobState::Parked].map(JobState::name);
        let of_token: Vec<String> = outbox::table
            .filter(outbox::token_id.eq(token_id))
            .filter(outbox::state.eq_any(may))
            .filter(outbox::card_id.ne(to.as_str()))
            .order(outbox::command_order)
            .select(outbox::id)
            .load(self.connection)?;
        for id in of_token {
            let place = self.next_place(to)?;
            diesel::update(outbox::table.filter(outbox::id.eq(id)))
                .set((
                    outbox::card_id.eq(to.as_str()),
                    outbox::command_order.eq(Some(place)),
                ))
                .execute(self.connection)?;
        }
        Ok(())
    }

    fn next_place(&mut self, card_id: &CardId) -> Result<i64, StoreError> {
        let last: Option<i64> = outbox::table
            .filter(outbox::card_id.eq(card_id.as_str()))
            .filter(outbox::command.is_not_null())
            .select(max(outbox::command_order))
            .first(self.connection)?;
        Ok(last.unwrap_or(0) + 1)
    }

    /// Ends commands that wait or are parked: superseded, or carried out by other means.
    pub fn end_commands(
        &mut self,
        ids: &[String],
        state: JobState,
        reason: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let may = [JobState::Waiting, JobState::Parked].map(JobState::name);
        let chosen = outbox::table
            .filter(outbox::id.eq_any(ids))
            .filter(outbox::state.eq_any(may));
        diesel::update(chosen)
            .set((
                outbox::state.eq(state.name()),
                outbox::ended_at.eq(Some(now)),
                outbox::last_reason.eq(Some(reason)),
            ))
            .execute(self.connection)?;
        Ok(())
    }
}

fn open_command(stored: Stored) -> Result<OpenCommand, StoreError> {
    let command = stored.command.as_deref().and_then(TokenCommand::from_word);
    let state = match &*stored.state {
        state if state == JobState::Running.name() => CommandState::Running,
        state if state == JobState::Parked.name() => CommandState::Parked,
        _ => CommandState::Waiting,
    };
    Ok(OpenCommand {
        job: stored.id,
        token: stored.token_id,
        command: command.ok_or(DAMAGED)?,
        state,
        never_sent: stored.attempts == 0,
    })
}

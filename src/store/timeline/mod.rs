//! What happened to one card, from all tables that tell of it, in one order: the latest first.
//!
//! The order is by time, then by source, then by id. A page is cut where each source on its own would
//! be cut, so that none of them is read further than a page.

mod acts;

use diesel::prelude::*;

use super::notifications::from_json;
use super::outbox::JobView;
use super::schema::{answers, notifications, outbox, registrations};
use super::{AuditRecord, NotificationView, StoreError, Tx};
use crate::domain::{CardId, Change};

/// What a moment tells of.
pub enum Happened {
    /// A notification came.
    Notification(NotificationView),
    /// The merchant's app said something of the card.
    Registration { changes: Vec<Change> },
    /// The other side answered, or a command was given: the answer's kind, its verdict and rule.
    Answer {
        kind: String,
        verdict: String,
        rule: String,
        changes: Vec<Change>,
    },
    /// A call became necessary.
    Call(JobView),
    /// Somebody did something to the card, to one of its calls or notifications.
    Act(AuditRecord),
}

/// One entry of a card's timeline.
pub struct Moment {
    /// Milliseconds since 1970, UTC.
    pub at: i64,
    pub id: String,
    pub happened: Happened,
}

/// Where the next page of a timeline begins: behind this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineCursor {
    at: i64,
    source: u8,
    id: String,
}

/// The moments of one source that stand behind a cursor: those before `below`, and those at `at` with an
/// id below this one.
struct Bound {
    below: i64,
    at: i64,
    id: String,
}

const NOTIFICATION: u8 = 1;
const REGISTRATION: u8 = 2;
const ANSWER: u8 = 3;
const CALL: u8 = 4;
const ACT: u8 = 5;

impl Happened {
    fn source(&self) -> u8 {
        match self {
            Self::Notification(_) => NOTIFICATION,
            Self::Registration { .. } => REGISTRATION,
            Self::Answer { .. } => ANSWER,
            Self::Call(_) => CALL,
            Self::Act(_) => ACT,
        }
    }
}

impl Moment {
    /// The cursor behind it.
    pub fn cursor(&self) -> TimelineCursor {
        TimelineCursor {
            at: self.at,
            source: self.happened.source(),
            id: self.id.clone(),
        }
    }
}

impl TimelineCursor {
    /// Reads a cursor as [`Self::text`] has written it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        Some(Self {
            at: parts.next()?.parse().ok()?,
            source: parts.next()?.parse().ok()?,
            id: parts.next()?.to_owned(),
        })
    }

    /// The cursor as text.
    pub fn text(&self) -> String {
        format!("{}.{}.{}", self.at, self.source, self.id)
    }

    fn bound(after: Option<&Self>, source: u8) -> Bound {
        let Some(cursor) = after else {
            return Bound {
                below: i64::MAX,
                at: i64::MAX,
                id: String::new(),
            };
        };
        // Of equal times, the sources come in descending order.
        Bound {
            below: match source < cursor.source {
                true => cursor.at.saturating_add(1),
                false => cursor.at,
            },
            at: cursor.at,
            id: match source == cursor.source {
                true => cursor.id.clone(),
                false => String::new(),
            },
        }
    }
}

impl Tx<'_> {
    /// What happened to a card, the latest first, behind a cursor.
    pub fn timeline(
        &mut self,
        card: &CardId,
        after: Option<&TimelineCursor>,
        limit: i64,
    ) -> Result<Vec<Moment>, StoreError> {
        let card = card.as_str();
        let bound = |source| TimelineCursor::bound(after, source);
        let mut moments = self.acts_upon(card, &bound(ACT), limit)?;
        moments.extend(self.calls_of(card, &bound(CALL), limit)?);
        moments.extend(self.answers_of(card, &bound(ANSWER), limit)?);
        moments.extend(self.registrations_of(card, &bound(REGISTRATION), limit)?);
        moments.extend(self.notifications_of(card, &bound(NOTIFICATION), limit)?);
        // Stable: of one source, the order is the database's own.
        moments.sort_by_key(|moment| std::cmp::Reverse((moment.at, moment.happened.source())));
        moments.truncate(usize::try_from(limit).unwrap_or_default());
        Ok(moments)
    }

    fn notifications_of(
        &mut self,
        card: &str,
        bound: &Bound,
        limit: i64,
    ) -> Result<Vec<Moment>, StoreError> {
        use notifications::dsl::{id, received_at};
        let behind = received_at
            .lt(bound.below)
            .or(received_at.eq(bound.at).and(id.lt(&bound.id)));
        let ids: Vec<String> = notifications::table
            .filter(notifications::card_id.eq(card))
            .filter(behind)
            .order((received_at.desc(), id.desc()))
            .limit(limit)
            .select(id)
            .load(self.connection)?;
        let mut moments = Vec::with_capacity(ids.len());
        for row in ids {
            if let Some(view) = self.notification(&row)? {
                moments.push(Moment {
                    at: view.received_at,
                    id: row,
                    happened: Happened::Notification(view),
                });
            }
        }
        Ok(moments)
    }

    fn registrations_of(
        &mut self,
        card: &str,
        bound: &Bound,
        limit: i64,
    ) -> Result<Vec<Moment>, StoreError> {
        use registrations::dsl;
        let behind = dsl::received_at
            .lt(bound.below)
            .or(dsl::received_at.eq(bound.at).and(dsl::id.lt(&bound.id)));
        let rows: Vec<(String, i64, String)> = registrations::table
            .filter(registrations::card_id.eq(card))
            .filter(behind)
            .order((dsl::received_at.desc(), dsl::id.desc()))
            .limit(limit)
            .select((dsl::id, dsl::received_at, dsl::changes))
            .load(self.connection)?;
        let moment = |(id, at, changed): (_, _, String)| {
            let changes = from_json(&changed)?;
            let happened = Happened::Registration { changes };
            Ok(Moment { at, id, happened })
        };
        rows.into_iter().map(moment).collect()
    }

    fn answers_of(
        &mut self,
        card: &str,
        bound: &Bound,
        limit: i64,
    ) -> Result<Vec<Moment>, StoreError> {
        use answers::dsl;
        type Row = (String, i64, String, String, String, String);
        let behind = dsl::received_at
            .lt(bound.below)
            .or(dsl::received_at.eq(bound.at).and(dsl::id.lt(&bound.id)));
        let rows: Vec<Row> = answers::table
            .filter(answers::card_id.eq(card))
            .filter(behind)
            .order((dsl::received_at.desc(), dsl::id.desc()))
            .limit(limit)
            .select((
                dsl::id,
                dsl::received_at,
                dsl::kind,
                dsl::verdict,
                dsl::rule,
                dsl::changes,
            ))
            .load(self.connection)?;
        let moment = |(id, at, kind, verdict, rule, changed): Row| {
            let happened = Happened::Answer {
                kind,
                verdict,
                rule,
                changes: from_json(&changed)?,
            };
            Ok(Moment { at, id, happened })
        };
        rows.into_iter().map(moment).collect()
    }

    fn calls_of(
        &mut self,
        card: &str,
        bound: &Bound,
        limit: i64,
    ) -> Result<Vec<Moment>, StoreError> {
        use outbox::dsl::{created_at, id};
        let behind = created_at
            .lt(bound.below)
            .or(created_at.eq(bound.at).and(id.lt(&bound.id)));
        let rows: Vec<JobView> = outbox::table
            .filter(outbox::card_id.eq(card))
            .filter(behind)
            .order((created_at.desc(), id.desc()))
            .limit(limit)
            .select(JobView::as_select())
            .load(self.connection)?;
        let moment = |job: JobView| Moment {
            at: job.created_at,
            id: job.id.clone(),
            happened: Happened::Call(job),
        };
        Ok(rows.into_iter().map(moment).collect())
    }
}

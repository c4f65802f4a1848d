//! The one decision function: a card and an input in, the card afterwards and a verdict out.

mod answers;
mod deletion;
mod masked;
mod registration;
mod status;
mod token;
mod tokens;

use super::event::events;
use super::{
    Card, CardId, Change, Decision, Flag, FreshCryptogram, Hold, Input, Job, JobKind, LatestItem,
    Notice, Payment, Policy, Rank, Rule, TraceStep, UnknownCardPolicy, Verdict,
};
use serde_json::Value;

/// A Get Card that is to settle something starts this much later: what is under way at Mastercard
/// may not be visible there yet.
const SETTLE_AFTER_MS: i64 = 60_000;

/// Decides one input. `card` is what is known of the card, or none if it is unknown here.
///
/// Pure: the same arguments give the same decision, whoever asks (live traffic, replay, dry run).
pub fn decide(card: Option<Card>, input: Input, policy: &Policy) -> Decision {
    match input {
        Input::Registration(registration) => registration::register(card, registration, policy),
        Input::Notice(notice) => {
            if card.is_none() && policy.unknown_card == UnknownCardPolicy::Park {
                return parked_until_registered();
            }
            judge(known(card, &notice.card_id), notice, policy)
        }
        Input::CardAnswer(answer) => {
            answers::card_answer(known(card, &answer.card_id), answer, policy)
        }
        Input::NotThere(answer) => {
            answers::not_there(known(card, &answer.card_id), &answer, policy)
        }
        Input::CheckoutAnswer(answer) => {
            answers::checkout_answer(known(card, &answer.card_id), answer, policy)
        }
        Input::CryptogramSpent(input) => {
            answers::cryptogram_spent(known(card, &input.card_id), &input, policy)
        }
        Input::Delete(input) => deletion::delete(known(card, &input.card_id), &input, policy),
        Input::DeleteConfirmed(input) => {
            deletion::confirm(known(card, &input.card_id), &input, policy)
        }
        Input::TokenCommandDone(input) => tokens::done(known(card, &input.card_id), &input, policy),
        Input::TokensRead(input) => tokens::read(known(card, &input.card_id), input, policy),
        Input::ContractStatus(input) => {
            tokens::contract_status(known(card, &input.card_id), &input, policy)
        }
    }
}

fn known(card: Option<Card>, id: &CardId) -> Card {
    card.unwrap_or_else(|| Card::new(id.clone()))
}

/// What became of one register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The input says nothing of it.
    Absent,
    /// It has another value now; the rule says in what way.
    Changed(Rule),
    Same,
    /// What the register holds is of greater rank.
    Older(Rule),
    Held(Verdict, Rule),
}

/// A decision in the making.
struct Judgement<'a> {
    card: Card,
    policy: &'a Policy,
    rank: Rank,
    received_at: i64,
    changes: Vec<Change>,
    flags: Vec<Flag>,
    trace: Vec<TraceStep>,
    asks_get_card: bool,
    /// Calls that do not follow from what is due or in doubt.
    further_jobs: Vec<Job>,
    was_due: bool,
    fresh_cryptogram: FreshCryptogram,
}

fn judge(card: Card, notice: Notice, policy: &Policy) -> Decision {
    let mut judgement = Judgement::new(card, notice.rank, notice.received_at, policy);
    judgement.card.inputs_decided += 1;
    if notice.rank.is_untimed() {
        judgement.flag(Flag::Untimed);
        judgement.note(
            "event time",
            "none usable: ranked by its receipt".to_owned(),
        );
    }
    if notice.is_known {
        judgement.note(
            "identity",
            "an item of the same identity is already recorded".to_owned(),
        );
        judgement.remember_latest(&notice);
        return judgement.finish(
            Verdict::Duplicate,
            Rule::SAME_IDENTITY,
            notice.earlier_changes,
        );
    }

    let was_terminal = judgement.card.terminal.is_some();
    // It was there at that time, whatever a Get Card before it said.
    judgement
        .card
        .not_there_since
        .take_if(|since| *since < notice.rank.time());
    let was_suspected = judgement.card.refresh_is_suspected();
    let status = judgement.status(&notice.status);
    let token = judgement.payment(&notice.payment, &notice.masked);
    let masked = judgement.masked(&notice.masked);
    judgement.look_for_missed_refresh(was_suspected);

    let outcomes = [status, token, masked];
    let earlier = notice.earlier_changes.as_slice();
    let changed = !judgement.changes.is_empty() || !earlier.is_empty();
    let (verdict, rule) = if let Some(ended) = judgement.terminal_verdict(was_terminal, &status) {
        ended
    } else if judgement.repeats_latest(&notice, changed) {
        (Verdict::Duplicate, Rule::UNTIMED_REPEAT)
    } else {
        verdict_of(&outcomes, earlier)
    };
    judgement.remember_latest(&notice);
    judgement.finish(verdict, rule, notice.earlier_changes)
}

/// The first that fits: held, applied, stale, no change.
fn verdict_of(outcomes: &[Outcome; 3], earlier: &[Change]) -> (Verdict, Rule) {
    let [status, token, masked] = *outcomes;
    // Quarantine before parking, the token before the masked card: the gravest comes first.
    for outcome in [token, status] {
        if let Outcome::Held(verdict, rule) = outcome {
            return (verdict, rule);
        }
    }
    let in_order = [token, status, masked];
    let rule_of_change = |outcome: Outcome| match outcome {
        Outcome::Changed(rule) => Some(rule),
        _ => None,
    };
    if status == Outcome::Changed(Rule::CANCELLED) {
        return (Verdict::Applied, Rule::CANCELLED);
    }
    if let Some(rule) = in_order.into_iter().find_map(rule_of_change) {
        return (Verdict::Applied, rule);
    }
    if let Some(first) = earlier.first() {
        // Judged anew: what applied did so when it was first judged.
        let is_status = first.field == "status";
        let rule = if is_status {
            Rule::STATUS_NEWER
        } else {
            Rule::MASKED_CARD_NEWER
        };
        return (Verdict::Applied, rule);
    }
    let older = in_order.into_iter().find_map(|outcome| match outcome {
        Outcome::Older(rule) => Some(rule),
        _ => None,
    });
    match older {
        Some(rule) => (Verdict::Stale, rule),
        None => (Verdict::NoChange, Rule::SAME_VALUES),
    }
}

fn parked_until_registered() -> Decision {
    Decision {
        card: None,
        verdict: Verdict::Parked(Hold::UNKNOWN_CARD),
        rule: Rule::UNKNOWN_CARD,
        flags: Vec::new(),
        changes: Vec::new(),
        jobs: Vec::new(),
        trace: vec![TraceStep {
            register: "card".to_owned(),
            step: "unknown here: waits until it is registered".to_owned(),
        }],
        no_longer_due: false,
        fresh_cryptogram: FreshCryptogram::None,
        events: Vec::new(),
    }
}

impl<'a> Judgement<'a> {
    fn new(card: Card, rank: Rank, received_at: i64, policy: &'a Policy) -> Self {
        Self {
            was_due: card.cryptogram_is_due(),
            card,
            policy,
            rank,
            received_at,
            changes: Vec::new(),
            flags: Vec::new(),
            trace: Vec::new(),
            asks_get_card: false,
            further_jobs: Vec::new(),
            fresh_cryptogram: FreshCryptogram::None,
        }
    }

    fn flag(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }

    fn note(&mut self, register: &str, step: String) {
        self.trace.push(TraceStep {
            register: register.to_owned(),
            step,
        });
    }

    fn change(&mut self, field: &str, from: impl Into<Value>, to: impl Into<Value>) {
        self.changes.push(Change {
            field: field.to_owned(),
            from: from.into(),
            to: to.into(),
        });
    }

    /// Two inputs of one event time differ: the values decide.
    fn equal_time(&mut self, register: &str) {
        self.flag(Flag::EqualTime);
        self.note(
            register,
            "another value of the same event time: the values decide".to_owned(),
        );
    }

    /// Two inputs received close together give one register different values, and one of them has
    /// no event time: neither order can be trusted.
    fn doubt_untimed(&mut self, held: Rank, held_received_at: i64) {
        let close = (self.received_at - held_received_at).abs() <= self.policy.retry_window;
        if close && held != Rank::LOWEST && (self.rank.is_untimed() || held.is_untimed()) {
            self.asks_get_card = true;
        }
    }

    /// Masked digits that are newer than our token and differ from it: a refresh passed us by.
    fn look_for_missed_refresh(&mut self, was_suspected: bool) {
        if !was_suspected && self.card.refresh_is_suspected() {
            self.flag(Flag::RefreshSuspected);
            self.note(
                "token",
                "masked digits newer than our token differ from it".to_owned(),
            );
            self.asks_get_card = true;
        }
    }

    /// The verdict on what comes for a card that had ended, unless it confirmed the end.
    fn terminal_verdict(
        &mut self,
        was_terminal: bool,
        status: &Outcome,
    ) -> Option<(Verdict, Rule)> {
        if !was_terminal || matches!(status, Outcome::Changed(_)) {
            return None;
        }
        self.note("card", "has ended: nothing revives it".to_owned());
        Some((Verdict::Stale, Rule::TERMINAL))
    }

    /// An untimed item that changes nothing and says what the card's latest item said.
    fn repeats_latest(&self, notice: &Notice, changed: bool) -> bool {
        let latest = self
            .card
            .latest_item
            .as_ref()
            .and_then(|latest| latest.digest.as_ref());
        notice.rank.is_untimed()
            && !changed
            && !matches!(notice.payment, Payment::Unreadable(_))
            && latest.is_some()
            && latest == notice.digest.as_ref()
    }

    fn remember_latest(&mut self, notice: &Notice) {
        let place = (notice.sequence, notice.index);
        let latest = self.card.latest_item.as_ref();
        if latest.is_none_or(|latest| (latest.sequence, latest.index) <= place) {
            self.card.latest_item = Some(LatestItem {
                sequence: notice.sequence,
                index: notice.index,
                digest: notice.digest.clone(),
            });
        }
    }

    /// The calls that have become necessary. None for a card that has ended.
    fn jobs(&mut self) -> Vec<Job> {
        if self.card.terminal.is_some() {
            return Vec::new();
        }
        let mut jobs = Vec::new();
        let moved = |field: &str| self.changes.iter().any(|change| change.field == field);
        let looked_at_again = moved("token.numberVersion")
            || moved("status")
            || (moved("token.expiry") && self.policy.checkout_on_expiry_change);
        let prefetch = self.policy.cryptogram == super::CryptogramPolicy::Prefetch;
        if looked_at_again && prefetch && self.card.cryptogram_is_due() {
            let number_version = self.card.number_version;
            jobs.push(Job {
                kind: JobKind::Cryptogram { number_version },
                not_before: self.received_at,
            });
            self.note(
                "cryptogram",
                format!("due for number version {number_version}: queued"),
            );
        }
        if self.asks_get_card {
            let kind = self
                .policy
                .lookup(self.policy.program_of(&self.card).as_deref());
            let wait = match kind {
                // What a token's program says is true at once.
                JobKind::ReadTokens => 0,
                _ => SETTLE_AFTER_MS,
            };
            jobs.push(Job {
                kind,
                not_before: self.received_at + wait,
            });
            self.note(
                "card",
                "the program is asked, to settle what is in doubt".to_owned(),
            );
        }
        jobs
    }

    fn finish(mut self, verdict: Verdict, rule: Rule, earlier: Vec<Change>) -> Decision {
        let mut jobs = self.jobs();
        jobs.append(&mut self.further_jobs);
        if !self.changes.is_empty() {
            self.card.updated_at = self.card.updated_at.max(self.received_at);
        }
        let events = events(&self.card, &self.changes);
        let mut changes = earlier;
        changes.append(&mut self.changes);
        Decision {
            no_longer_due: self.was_due && !self.card.cryptogram_is_due(),
            card: Some(self.card),
            verdict,
            rule,
            flags: self.flags,
            changes,
            jobs,
            trace: self.trace,
            fresh_cryptogram: self.fresh_cryptogram,
            events,
        }
    }
}

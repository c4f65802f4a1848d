//! The tokens of a card that has several, or one of a bank: what registrations, commands, reads and
//! the issuer say of them.

use serde_json::Value;

use super::{Judgement, Outcome};
use crate::domain::{
    Card, CardToken, ContractStatus, Decision, Policy, Precedence, Rank, ReadToken, Register, Rule,
    SeenToken, TerminalState, TokenCommandDone, TokenStatus, TokensOfCard, TokensRead, Verdict,
};

/// The card is suspended: its active tokens are, there and at the network.
const SUSPENDED: &str = "05";
/// Lost and stolen: the tokens stay as they are until they are linked to the card's replacement.
const REPLACED: [&str; 2] = ["41", "43"];

/// The other side did what a command says.
pub(super) fn done(card: Card, input: &TokenCommandDone, policy: &Policy) -> Decision {
    let rank = Rank::timed(input.received_at);
    let mut judgement = match of_living(card, rank, input.received_at, policy) {
        Ok(judgement) => judgement,
        Err(stale) => return *stale,
    };
    let target = input.command.target();
    let shown_before = judgement.card.status_word();
    let outcomes = judgement.each_token(|token| {
        let is_meant = input.token.as_ref().is_none_or(|id| *id == token.id);
        is_meant.then(|| target.clone())
    });
    let ends_card = input.token.is_none() && target == TokenStatus::Deleted;
    judgement.end_with_tokens(ends_card);
    judgement.status_of_tokens_changed(shown_before);
    let (verdict, rule) = verdict_of(&outcomes, &judgement, Rule::COMMAND_DONE);
    judgement.finish(verdict, rule, Vec::new())
}

/// What the program's reads say of the card's tokens.
pub(super) fn read(card: Card, input: TokensRead, policy: &Policy) -> Decision {
    let mut judgement = match of_living(card, input.rank, input.received_at, policy) {
        Ok(judgement) => judgement,
        Err(stale) => return *stale,
    };
    let shown_before = judgement.card.status_word();
    match input.is_not_there {
        true => judgement.not_there(),
        false => judgement.card.not_there_since = None,
    }
    for id in &input.moved {
        judgement.token_moved(id);
    }
    for id in &input.missing {
        judgement.token_missing(id);
    }
    let mut outcomes = Vec::new();
    for reading in input.tokens {
        outcomes.push(judgement.token_read(reading));
    }
    judgement.end_with_tokens(false);
    judgement.status_of_tokens_changed(shown_before);
    let (verdict, rule) = verdict_of(&outcomes, &judgement, Rule::TOKENS_READ);
    judgement.finish(verdict, rule, Vec::new())
}

/// The issuer tells the status of the card contract.
pub(super) fn contract_status(card: Card, input: &ContractStatus, policy: &Policy) -> Decision {
    let rank = Rank::timed(input.received_at);
    let mut judgement = match of_living(card, rank, input.received_at, policy) {
        Ok(judgement) => judgement,
        Err(stale) => return *stale,
    };
    let shown_before = judgement.card.status_word();
    let before = judgement.card.contract_status.replace(input.code.clone());
    if before.as_ref() != Some(&input.code) {
        judgement.change("contractStatus", before, input.code.clone());
    }
    if input.code == SUSPENDED {
        let active = |token: &CardToken| token.status() == Some(&TokenStatus::Active);
        judgement.each_token(|token| active(token).then_some(TokenStatus::Suspended));
    } else if REPLACED.contains(&&*input.code) {
        judgement.mark_for_relinking();
    } else {
        judgement.note("tokens", "no effect of this code is known".to_owned());
    }
    judgement.status_of_tokens_changed(shown_before);
    let verdict = match judgement.changes.is_empty() {
        true => Verdict::NoChange,
        false => Verdict::Applied,
    };
    judgement.finish(verdict, Rule::CONTRACT_STATUS, Vec::new())
}

/// The judgement of a living card; of one that has ended the decision, which revives nothing.
fn of_living(
    card: Card,
    rank: Rank,
    received_at: i64,
    policy: &Policy,
) -> Result<Judgement<'_>, Box<Decision>> {
    let mut judgement = Judgement::new(card, rank, received_at, policy);
    judgement.card.inputs_decided += 1;
    if judgement.card.terminal.is_none() {
        return Ok(judgement);
    }
    judgement.note("card", "has ended: nothing revives it".to_owned());
    Err(Box::new(judgement.finish(
        Verdict::Stale,
        Rule::TERMINAL,
        Vec::new(),
    )))
}

/// Applied if anything changed, stale if all that was said is older than what is known.
fn verdict_of(outcomes: &[Outcome], judgement: &Judgement<'_>, rule: Rule) -> (Verdict, Rule) {
    let is_older = |outcome: &Outcome| matches!(outcome, Outcome::Older(_));
    if !judgement.changes.is_empty() {
        (Verdict::Applied, rule)
    } else if !outcomes.is_empty() && outcomes.iter().all(is_older) {
        (Verdict::Stale, Rule::STATUS_OLDER)
    } else {
        (Verdict::NoChange, Rule::SAME_VALUES)
    }
}

impl Judgement<'_> {
    /// Takes the tokens that a registration names, or that a command is for.
    pub(super) fn register_tokens(&mut self, seen: Vec<SeenToken>) {
        let has_one = self.tokens_of_card() == Some(TokensOfCard::One);
        for token in seen {
            if self.card.tokens.iter().any(|known| known.id == token.id) {
                continue;
            }
            if has_one && !self.card.tokens.is_empty() {
                self.note("tokens", "one is known already: kept".to_owned());
                continue;
            }
            self.add_token(CardToken::new(token.id, token.last_four));
        }
        let is_unknown = |token: &CardToken| token.status.is_none();
        if self.card.tokens.iter().any(is_unknown) {
            self.asks_get_card = true;
        }
    }

    fn tokens_of_card(&self) -> Option<TokensOfCard> {
        self.policy.tokens_of(&self.card)
    }

    fn add_token(&mut self, token: CardToken) {
        self.change(&token_field(&token.id), Value::Null, &*token.last_four);
        self.card.tokens.push(token);
    }

    /// Gives each living token the status that is said of it, by rank.
    fn each_token(&mut self, said: impl Fn(&CardToken) -> Option<TokenStatus>) -> Vec<Outcome> {
        let told: Vec<_> = (self.card.tokens.iter())
            .filter_map(|token| Some((token.id.clone(), said(token)?)))
            .collect();
        let set = |(id, status): (String, TokenStatus)| self.token_status(&id, status);
        told.into_iter().map(set).collect()
    }

    /// The status register of one token: the greater rank wins, DELETED absorbs whatever its rank.
    fn token_status(&mut self, id: &str, status: TokenStatus) -> Outcome {
        let (rank, received_at) = (self.rank, self.received_at);
        let Some(token) = self.card.tokens.iter_mut().find(|token| token.id == id) else {
            return Outcome::Absent;
        };
        let held = token.status.clone();
        let before = held.as_ref().map(|held| held.value.clone());
        let is_final = status == TokenStatus::Deleted;
        let precedence = held.as_ref().map(|held| rank.against(held.rank));
        let wins = match precedence {
            // At equal times the safe side: what may not be used.
            Some(Precedence::Equal) => status != TokenStatus::Active,
            Some(Precedence::Older) => is_final,
            Some(Precedence::Newer) | None => true,
        };
        if before == Some(TokenStatus::Deleted) || (!wins && before.as_ref() != Some(&status)) {
            return Outcome::Older(Rule::STATUS_OLDER);
        }
        if wins {
            token.status = Some(Register {
                value: status.clone(),
                rank,
                received_at,
            });
        }
        if before.as_ref() == Some(&status) {
            return Outcome::Same;
        }
        if is_final {
            token.relinking_since = None;
        }
        let from = before.as_ref().map(TokenStatus::word);
        self.change(&format!("{}.status", token_field(id)), from, status.word());
        Outcome::Changed(Rule::STATUS_NEWER)
    }

    fn token_read(&mut self, reading: ReadToken) -> Outcome {
        let id = reading.id.clone();
        if !self.card.tokens.iter().any(|token| token.id == id) {
            self.add_token(CardToken::new(id.clone(), reading.last_four.clone()));
        }
        let outcome = self.token_status(&id, reading.status.clone());
        let rank = self.rank;
        let Some(token) = self.card.tokens.iter_mut().find(|token| token.id == id) else {
            return outcome;
        };
        token.not_there_since = None;
        let is_older = |read: Rank| rank.against(read) == Precedence::Older;
        if token.read.is_some_and(is_older) {
            return outcome;
        }
        let known = (&token.expiry, &token.customer, &token.details);
        let is_new = known != (&reading.expiry, &reading.customer, &reading.details);
        token.read = Some(rank);
        token.expiry = reading.expiry;
        token.customer = reading.customer;
        token.details = reading.details;
        if is_new {
            let field = format!("{}.details", token_field(&id));
            self.change(&field, Value::Null, "read");
        }
        outcome
    }

    /// The read shows the token at another card: it is kept there from now on.
    fn token_moved(&mut self, id: &str) {
        let Some(place) = self.card.tokens.iter().position(|token| token.id == id) else {
            return;
        };
        let token = self.card.tokens.remove(place);
        self.change(&token_field(id), token.last_four, Value::Null);
        self.note("tokens", "one belongs to another card now".to_owned());
    }

    /// The program does not know the token. What its status is then nobody says.
    fn token_missing(&mut self, id: &str) {
        let at = self.received_at;
        let token = self.card.tokens.iter_mut().find(|token| token.id == id);
        if let Some(token) = token.filter(|token| token.not_there_since.is_none()) {
            token.not_there_since = Some(at);
            let field = format!("{}.notThere", token_field(id));
            self.change(&field, false, true);
        }
    }

    fn mark_for_relinking(&mut self) {
        let at = self.received_at;
        let mut marked = Vec::new();
        let living = |token: &&mut CardToken| !token.has_ended();
        for token in self.card.tokens.iter_mut().filter(living) {
            if token.relinking_since.is_none() {
                token.relinking_since = Some(at);
                marked.push(token.id.clone());
            }
        }
        for id in marked {
            let field = format!("{}.relinking", token_field(&id));
            self.change(&field, false, true);
        }
        // A digital card's tokens are linked at once.
        self.asks_get_card = true;
    }

    /// Ends the card where that was wanted, or where its one token has ended.
    fn end_with_tokens(&mut self, is_wanted: bool) {
        let tokens = &self.card.tokens;
        let all_ended = !tokens.is_empty() && tokens.iter().all(CardToken::has_ended);
        let with_its_token = all_ended && self.tokens_of_card() == Some(TokensOfCard::One);
        if is_wanted || with_its_token {
            self.end(TerminalState::Deleted);
        }
    }

    /// The word shown for a card follows from its tokens; a card that ended has told it already.
    pub(super) fn status_of_tokens_changed(&mut self, before: Option<&'static str>) {
        let after = self.card.status_word();
        if self.card.terminal.is_none() && before != after {
            self.change("status", before, after);
        }
    }
}

/// The name of a token's field among changes.
fn token_field(id: &str) -> String {
    format!("tokens.{id}")
}

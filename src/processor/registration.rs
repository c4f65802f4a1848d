//! Registers a card: the same decision and the same transaction as for a notification.

use serde_json::json;

use crate::audit::Act;
use crate::domain::{
    Card, Input, Job, JobKind, Policy, ProgramToken, Registration, Rule, TokensOfCard, decide,
};
use crate::notification::payment_json;
use crate::store::{Entry, KnownToken, RegistrationRow, Store, StoreError, Tx};

/// A registration as it came, with the texts of its tokens. Which of them count, the card's program
/// says.
pub struct Registering {
    /// With `token` where that holds a number, and perhaps an expiry.
    pub registration: Registration,
    /// The text of `token`.
    pub token: Option<ProgramToken>,
    /// The texts of `tokens`.
    pub tokens: Vec<ProgramToken>,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// The card was not known here.
    Created,
    Updated,
    /// The card has ended; nothing was written.
    Ended,
    /// Its tokens are not such as the card's program has; nothing was written.
    Misfit(Misfit),
}

impl Registered {
    /// What became of it, for the audit.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Ended => "terminal",
            Self::Misfit(_) => "misfit",
        }
    }
}

/// Which tokens do not fit a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("token is not of the right form: paymentToken has 12 to 19 digits")]
    NotANumber,
    #[error("tokens is for a program whose cards have several tokens")]
    NotSeveral,
    #[error("token is for a program whose cards have one token; name them in tokens")]
    NotOne,
}

/// Registers a card, and lets notifications that waited for it be decided.
pub fn register(
    store: &Store,
    policy: &Policy,
    registering: Registering,
) -> Result<Registered, StoreError> {
    store.write(|tx| {
        let id = registering.registration.card_id.clone();
        let program = registering.registration.program.clone();
        let at = registering.registration.received_at;
        let registered = register_in(tx, policy, registering)?;
        tx.audit(Entry {
            act: Act::CardRegistered,
            object: id.as_str(),
            outcome: registered.word(),
            details: json!({ "program": program }),
            at,
        })?;
        Ok(registered)
    })
}

fn register_in(
    tx: &mut Tx<'_>,
    policy: &Policy,
    mut registering: Registering,
) -> Result<Registered, StoreError> {
    let id = registering.registration.card_id.clone();
    let now = registering.registration.received_at;
    tx.lock_cards(&[id.clone()].into())?;
    let card = tx.card(&id)?.map(|row| row.card);
    let outcome = if card.is_some() {
        Registered::Updated
    } else {
        Registered::Created
    };
    let tokens = match tokens(policy, card.as_ref(), &mut registering) {
        Ok(tokens) => tokens,
        Err(misfit) => return Ok(Registered::Misfit(misfit)),
    };
    let mut known = Vec::new();
    for token in &tokens {
        known.push((tx.known_token(token)?, token));
    }
    // A token that another card has stays there until the program shows it here.
    let (elsewhere, here): (Vec<_>, Vec<_>) = known
        .into_iter()
        .partition(|(known, _)| known.is_of_another(&id));
    let mut registration = registering.registration;
    registration.tokens = here.iter().map(|(known, _)| known.seen()).collect();
    let mut row = RegistrationRow::of(&registration, registration.token.as_ref().map(payment_json));
    let decision = decide(card, Input::Registration(registration), policy);
    if decision.rule == Rule::TERMINAL {
        return Ok(Registered::Ended);
    }
    tx.write_decision(&id, &decision, policy, None, now)?;
    keep(tx, decision.card.as_ref(), &here)?;
    if !elsewhere.is_empty() {
        let read = Job {
            kind: JobKind::ReadTokens,
            not_before: now,
        };
        tx.queue_job(&id, &read, None, now)?;
    }
    row.card_order = decision.card.map_or(0, |card| card.inputs_decided);
    row.changes = decision.changes;
    tx.record_registration(&row)?;
    // Notifications that came before the registration wait in their deliveries.
    tx.wake_deliveries_parked_for(&id)?;
    Ok(outcome)
}

/// The tokens that count in the card's program. Where it has none of its own, the number stays in the
/// registration.
fn tokens(
    policy: &Policy,
    card: Option<&Card>,
    registering: &mut Registering,
) -> Result<Vec<ProgramToken>, Misfit> {
    let named = registering.registration.program.as_ref();
    let of_card = card.and_then(|card| policy.program_of(card));
    let program = named
        .or(of_card.as_ref())
        .or(policy.default_program.as_ref());
    let tokens_of = program.and_then(|program| policy.token_programs.get(program));
    let number = &mut registering.registration.token;
    let several = std::mem::take(&mut registering.tokens);
    match (tokens_of, registering.token.take()) {
        (None, Some(_)) if number.is_none() => Err(Misfit::NotANumber),
        (None | Some(TokensOfCard::One), _) if !several.is_empty() => Err(Misfit::NotSeveral),
        (None, _) => Ok(Vec::new()),
        (Some(TokensOfCard::Many), Some(_)) => Err(Misfit::NotOne),
        (Some(_), token) => {
            *number = None;
            Ok(token.into_iter().chain(several).collect())
        }
    }
}

/// Keeps the texts of the tokens that the card has now.
fn keep(
    tx: &mut Tx<'_>,
    card: Option<&Card>,
    tokens: &[(KnownToken, &ProgramToken)],
) -> Result<(), StoreError> {
    let Some(card) = card else {
        return Ok(());
    };
    for (known, token) in tokens {
        if card.token_of_id(&known.id).is_some() {
            tx.keep_token(&card.id, known, token)?;
        }
    }
    Ok(())
}

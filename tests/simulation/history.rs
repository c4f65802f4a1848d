//! What was decided of a card so far, and the state that follows from it by the reference model.

use std::collections::{BTreeMap, BTreeSet};

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use tokenkeep::domain::MaskedFields;

use crate::post::Sealing;
use crate::sim::Sim;
use crate::support::State;
use crate::support::item::{Item, Token};
use crate::support::model::{Told, state_of, timed};
use crate::verdicts::{self, Judged};

/// Milliseconds by which an event time may lie ahead of its receipt.
const AHEAD: i64 = 600_000;

/// Something decided for a card, as it is recorded.
#[derive(QueryableByName)]
pub struct Decided {
    #[diesel(sql_type = BigInt)]
    place: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    verdict: String,
    /// Of a notification its delivery's sequence, else the time that counts.
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Nullable<Integer>)]
    asked_for: Option<i32>,
}

/// What a merchant registered.
#[derive(Debug, Clone, Default)]
pub struct Registered {
    pub masked: MaskedFields,
    pub token: Option<Token>,
}

#[derive(Default)]
pub struct History {
    place: i64,
    told: BTreeMap<String, Told>,
    registered: Registered,
    is_deleted: bool,
    is_confirmed: bool,
    state: State,
    number_version: u32,
    was_terminal: bool,
    /// What effective items say, with the one that said it.
    known: BTreeMap<String, String>,
    /// The items that changed something.
    changed: BTreeSet<String>,
    /// The item that arrived last, with what it says if it could be read.
    latest: Option<((i64, usize), Option<String>)>,
}

impl History {
    pub fn place(&self) -> i64 {
        self.place
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn number_version(&self) -> u32 {
        self.number_version
    }

    pub fn was_terminal(&mut self, is_terminal: bool) -> bool {
        std::mem::replace(&mut self.was_terminal, is_terminal)
    }

    pub fn line(&self) -> String {
        let number = self.state.token.as_ref().map(|token| &token.number[11..]);
        let word = self.state.status.unwrap_or("?");
        let may = if self.state.may_charge { " may" } else { "" };
        format!(
            "{word} {} {}{may} @{}",
            self.number_version,
            number.unwrap_or("-"),
            self.place
        )
    }

    /// Takes in what was decided next.
    pub fn add(&mut self, sim: &Sim, card: &str, decided: &Decided) -> Result<(), String> {
        self.place = decided.place;
        match &*decided.kind {
            "notification" => self.notified(sim, card, decided)?,
            "registration" => self.register(sim, card, decided.at),
            "get_card" => {
                let told = self.answer(sim, card, decided.at)?;
                self.told.insert(decided.id.clone(), told);
            }
            "checkout" => {
                let told = self.answer(sim, card, decided.at)?;
                self.checkout(decided, told);
            }
            "delete_asked" => self.is_deleted = true,
            "delete_confirmed" => self.is_confirmed = true,
            _ => {}
        }
        self.look();
        Ok(())
    }

    fn answer(&self, sim: &Sim, card: &str, as_of: i64) -> Result<Told, String> {
        let told = sim.answers.borrow().get(&(card.to_owned(), as_of)).cloned();
        told.ok_or_else(|| format!("an answer of {card} was decided that nobody gave"))
    }

    fn notified(&mut self, sim: &Sim, card: &str, decided: &Decided) -> Result<(), String> {
        let (delivery, index) = decided.id.rsplit_once('.').unwrap();
        let kept = sim.kept.borrow();
        let kept = &kept[delivery];
        let place: usize = index.parse().unwrap();
        let sent = &kept.items[place];
        let rank = match sent.item.time {
            Some(time) if time <= kept.received_at + AHEAD => timed(time),
            _ => (
                kept.received_at,
                true,
                decided.at,
                i32::try_from(place).unwrap(),
            ),
        };
        // Only an operator's replay, with all keys, judges anew.
        let is_judged_anew = self.told.contains_key(&decided.id);
        let told = Told {
            rank,
            status: Some(sent.item.status.clone()),
            masked: sent.item.masked.clone(),
            refresh: sent.item.refresh.clone(),
            is_unreadable: match sent.sealing {
                Sealing::Early => false,
                Sealing::Late => !is_judged_anew,
                Sealing::Broken => true,
            },
        };
        sim.count("verdicts");
        let verdict = self.judge(decided, &told, &sent.item, (decided.at, place));
        self.told.insert(decided.id.clone(), told);
        match decided.verdict == verdict {
            true => Ok(()),
            false => Err(format!(
                "{} of {card} is {}, but deserves {verdict}",
                decided.id, decided.verdict
            )),
        }
    }

    /// The verdict that an item deserves here.
    fn judge(
        &mut self,
        decided: &Decided,
        told: &Told,
        item: &Item,
        place: (i64, usize),
    ) -> &'static str {
        let is_untimed = told.rank.1;
        let is_told_apart = !is_untimed;
        let said = Item {
            time: item.time.filter(|_| is_told_apart),
            // A refresh has a reason of its own.
            remark: item
                .refresh
                .as_ref()
                .map_or(item.remark, |_| "TOKEN_REFRESH"),
            ..item.clone()
        };
        let identity = (!told.is_unreadable).then(|| format!("{said:?}"));
        let owner = identity.as_ref().and_then(|said| self.known.get(said));
        let judged = Judged {
            told,
            identity: identity.as_ref(),
            is_known: is_told_apart && owner.is_some_and(|owner| *owner != decided.id),
            changed_before: self.changed.contains(&decided.id),
            latest: self.latest.as_ref().and_then(|(_, said)| said.as_ref()),
        };
        let before: Vec<&Told> = self.told.values().collect();
        let masked = &self.registered.masked;
        let (verdict, changed) = verdicts::verdict(&judged, &self.state, &before, masked);
        if changed {
            self.changed.insert(decided.id.clone());
        }
        if self
            .latest
            .as_ref()
            .is_none_or(|(latest, _)| *latest <= place)
        {
            self.latest = Some((place, identity.clone()));
        }
        if let Some(said) = identity.filter(|_| is_told_apart && verdict != "duplicate") {
            self.known.insert(said, decided.id.clone());
        }
        verdict
    }

    /// A registration fills what nobody has told, and the first one counts.
    fn register(&mut self, sim: &Sim, card: &str, at: i64) {
        let registered = sim.registered.borrow()[&(card.to_owned(), at)].clone();
        for (name, value) in registered.masked {
            self.registered.masked.entry(name).or_insert(value);
        }
        let token = &mut self.registered.token;
        *token = token.take().or(registered.token);
    }

    /// An answer of Checkout counts where it was asked for the number we hold, the card may be charged,
    /// and it names another token that is not older; or where no number was known.
    fn checkout(&mut self, decided: &Decided, told: Told) {
        let is_for_ours = decided.asked_for == Some(self.number_version as i32);
        if self.state.status != Some("ACTIVE") || !is_for_ours {
            return;
        }
        let set_by = self.told.values().filter(|told| told.token().is_some());
        let set_by = set_by.map(|told| told.rank).max();
        let counts = match &self.state.token {
            None => true,
            Some(held) if told.refresh.as_ref() == Some(held) => false,
            Some(_) => !told.is_unreadable && Some(told.rank) >= set_by,
        };
        if counts {
            let told = Told {
                is_unreadable: false,
                ..told
            };
            self.told.insert(decided.id.clone(), told);
        }
    }

    fn look(&mut self) {
        let told: Vec<Told> = self.told.values().cloned().collect();
        let Registered { masked, token } = &self.registered;
        let mut state = state_of(&told, Some(masked), token.as_ref());
        if self.is_deleted && !state.is_terminal {
            state = State {
                status: Some(match self.is_confirmed {
                    true => "CANCELLED",
                    false => "DELETE_PENDING",
                }),
                is_terminal: true,
                masked: state.masked,
                ..State::default()
            };
        }
        let number = |state: &State| state.token.as_ref().map(|token| token.number.clone());
        if number(&state).is_some() && number(&state) != number(&self.state) {
            self.number_version += 1;
        }
        self.state = state;
    }
}

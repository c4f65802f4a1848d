//! The token register: what a refresh changed, and what that means for the cryptogram.

use serde_json::Value;

use super::{Judgement, Outcome};
use crate::domain::card::digits_differ;
use crate::domain::{
    CheckoutReason, Expiry, Flag, Hold, MaskedFields, MismatchPolicy, Payment, PaymentData,
    Precedence, Rank, Rule, Token, Verdict,
};

impl Judgement<'_> {
    pub(super) fn payment(&mut self, payment: &Payment, masked: &MaskedFields) -> Outcome {
        if self.card.terminal.is_some() {
            return Outcome::Absent;
        }
        match payment {
            Payment::Absent => Outcome::Absent,
            Payment::Unreadable(hold) => self.hold_refresh(*hold),
            Payment::Opened(data) => {
                // Half a refresh is not applied: what it means would depend on what came before.
                let Some(data) = with_expiry(data, masked) else {
                    return self.hold_refresh(Hold::PAYMENT_DATA_MISSING);
                };
                if disagrees(&data, masked) {
                    self.flag(Flag::DigitsDisagree);
                    self.note(
                        "token",
                        "decrypted data and masked digits disagree".to_owned(),
                    );
                    if self.policy.payment_data_mismatch == MismatchPolicy::Quarantine {
                        return self.hold_refresh(Hold::DIGITS_DISAGREE);
                    }
                }
                self.refresh(data)
            }
        }
    }

    /// A refresh that cannot be read holds back the token register only.
    fn hold_refresh(&mut self, hold: Hold) -> Outcome {
        self.card.refresh_held = self.card.refresh_held.max(Some(self.rank));
        // The key may never come: Mastercard is asked as well.
        self.asks_get_card |= self.card.refresh_is_unreadable();
        self.note("token", format!("held back: {}", hold.0));
        Outcome::Held(Verdict::Quarantined(hold), Rule::REFRESH_UNREADABLE)
    }

    fn refresh(&mut self, incoming: PaymentData) -> Outcome {
        let Some(held) = self.card.token.clone() else {
            self.note(
                "token",
                "no number known: both parts count as changed".to_owned(),
            );
            return self.replace(None, incoming);
        };
        let same = incoming.number == held.number && incoming.expiry == held.expiry;
        if !same {
            self.doubt_untimed(held.rank, held.received_at);
        }
        match self.rank.against(held.rank) {
            Precedence::Older => {
                self.note(
                    "token",
                    format!(
                        "refresh of {} is older than the token of {}",
                        self.rank, held.rank
                    ),
                );
                Outcome::Older(Rule::TOKEN_OLDER)
            }
            Precedence::Equal if same => Outcome::Same,
            Precedence::Equal => {
                self.equal_time("token");
                self.asks_get_card = true;
                let greater = (&incoming.number, incoming.expiry) > (&held.number, held.expiry);
                if greater {
                    self.replace(Some(held), incoming)
                } else {
                    Outcome::Older(Rule::TOKEN_OLDER)
                }
            }
            Precedence::Newer => self.replace(Some(held), incoming),
        }
    }

    /// Sets the register and follows the refresh table.
    pub(super) fn replace(&mut self, held: Option<Token>, incoming: PaymentData) -> Outcome {
        let number_changed = held
            .as_ref()
            .is_none_or(|held| held.number != incoming.number);
        let expiry_changed = held
            .as_ref()
            .is_none_or(|held| held.expiry != incoming.expiry);
        let rule = match (held.is_some(), number_changed, expiry_changed) {
            (false, ..) => Rule::FIRST_TOKEN,
            (_, true, true) => Rule::NUMBER_AND_EXPIRY_CHANGED,
            (_, true, false) => Rule::NUMBER_CHANGED,
            (_, false, true) => Rule::EXPIRY_CHANGED,
            (_, false, false) => Rule::SAME_VALUES,
        };
        let by_number = Some(CheckoutReason::NumberChanged);
        let checkout_wanted = match (number_changed, expiry_changed) {
            (true, true) => by_number,
            (true, false) => by_number.filter(|_| self.policy.checkout_on_number_change),
            (false, true) if self.policy.checkout_on_expiry_change => {
                Some(CheckoutReason::ExpiryChanged)
            }
            (false, _) => held.as_ref().and_then(|held| held.checkout_wanted),
        };
        let changed = number_changed || expiry_changed;
        let refreshed_at = match &held {
            Some(held) if !changed => held.refreshed_at,
            _ => self.received_at,
        };
        if changed {
            self.record_token_change(held.as_ref(), &incoming, number_changed);
        } else {
            self.note("token", "number and expiry are those we hold".to_owned());
        }
        self.card.token = Some(Token {
            number: incoming.number,
            expiry: incoming.expiry,
            rank: self.rank,
            received_at: self.received_at,
            refreshed_at,
            checkout_wanted,
            registered: held.and_then(|held| held.registered),
        });
        if changed {
            Outcome::Changed(rule)
        } else {
            Outcome::Same
        }
    }

    fn record_token_change(
        &mut self,
        held: Option<&Token>,
        incoming: &PaymentData,
        number_changed: bool,
    ) {
        let (version, number_version) = (self.card.version, self.card.number_version);
        let expiry_before = held.and_then(|held| held.expiry);
        self.note(
            "token",
            match (number_changed, expiry_before != incoming.expiry) {
                (true, true) => "number and expiry changed",
                (true, false) => "number changed",
                _ => "expiry changed",
            }
            .to_owned(),
        );
        self.card.version += 1;
        self.card.checkout_recommended = !number_changed;
        if number_changed {
            self.destroy_cryptogram("the token number changed");
            let before = held.map(|held| held.number.last_four());
            self.change("token.number", before, incoming.number.last_four());
            self.card.number_version += 1;
            self.change(
                "token.numberVersion",
                number_version,
                self.card.number_version,
            );
        }
        if expiry_before != incoming.expiry {
            let text = |expiry: Option<Expiry>| expiry.map(|expiry| expiry.to_string());
            self.change("token.expiry", text(expiry_before), text(incoming.expiry));
            if self.policy.checkout_on_expiry_change {
                self.destroy_cryptogram("one with the new expiry is asked for");
            }
        }
        self.change("token.version", version, self.card.version);
        if !number_changed && self.card.cryptogram.is_some() {
            self.note("cryptogram", "kept: it belongs to the number".to_owned());
        }
    }

    /// Takes the token of a registration: it fills an empty register; beside a known token it only
    /// tells what the merchant held.
    pub(super) fn register_token(&mut self, data: PaymentData) {
        match &mut self.card.token {
            Some(token) => {
                token.registered.get_or_insert(data.number);
                self.note("token", "one is known already: kept".to_owned());
            }
            None => self.fill_token(data),
        }
    }

    /// Fills an empty register from a registration: no cryptogram becomes due by it.
    fn fill_token(&mut self, data: PaymentData) {
        self.card.version = 1;
        self.card.number_version = 1;
        self.change("token.number", Value::Null, data.number.last_four());
        self.change("token.numberVersion", 0, 1);
        if let Some(expiry) = data.expiry {
            self.change("token.expiry", Value::Null, expiry.to_string());
        }
        self.change("token.version", 0, 1);
        self.card.token = Some(Token {
            registered: Some(data.number.clone()),
            number: data.number,
            expiry: data.expiry,
            rank: Rank::LOWEST,
            received_at: self.received_at,
            refreshed_at: self.received_at,
            checkout_wanted: None,
        });
    }
}

/// The decrypted data with an expiry: its own, else the one the masked card of the same item names.
fn with_expiry(data: &PaymentData, masked: &MaskedFields) -> Option<PaymentData> {
    let text = |field: &str| masked.get(field).and_then(Value::as_str);
    let named = || {
        let (month, year) = (text("tokenExpirationMonth")?, text("tokenExpirationYear")?);
        Expiry::parse(month, year)
    };
    Some(PaymentData {
        number: data.number.clone(),
        expiry: Some(data.expiry.or_else(named)?),
    })
}

/// Whether the masked digits or expiry of the same item differ from the decrypted ones.
fn disagrees(data: &PaymentData, masked: &MaskedFields) -> bool {
    digits_differ(&data.number, data.expiry, |field| {
        masked.get(field).and_then(Value::as_str)
    })
}

//! The story of a card of Mastercard Checkout, from its registration to its deletion.

use serde_json::{Value, json};

use super::story::{self, Told, say, step};
use super::tale::Tale;
use super::{wait_until, wait_until_decided};
use crate::commands::failure::Failure;
use crate::domain::{CardId, CryptogramState, TerminalState, TokenCommand};
use crate::sandbox::{CardStatus, NewCard, Operation, Refresh};
use crate::store::CardRow;
use crate::telemetry::Clock;

const CARD: &str = "demo-card-of-the-story";
/// Its program in the settings.
pub const PROGRAM: &str = "sandbox";

impl Tale<'_> {
    /// Plays the story and tells it as it happens.
    pub fn tell_checkout(&self) -> Told {
        say("The story of a card of Mastercard Checkout")?;
        let id = CardId::parse(CARD).map_err(Failure::wrong)?;
        self.register_checkout_card()?;
        for what in ["the first refresh", "another refresh"] {
            step(&format!("Mastercard: {what}, number and expiry changed"))?;
            self.refresh()?;
            self.await_cryptogram(&id)?;
        }
        self.credentials("single", None)?;
        step("Mastercard: SUSPENDED")?;
        self.status(CardStatus::Suspended)?;
        step("Mastercard: a refresh while the card is suspended")?;
        self.refresh()?;
        say("      nobody asks for a cryptogram that could not be used")?;
        step("Mastercard: ACTIVE again")?;
        self.status(CardStatus::Active)?;
        self.await_cryptogram(&id)?;
        self.credentials("recurring", Some(1))?;
        step("The merchant's app wants the card suspended")?;
        self.command(CARD, TokenCommand::Suspend, None)?;
        self.delete_card(&id)
    }

    fn register_checkout_card(&self) -> Told {
        let new = NewCard {
            id: Some(CARD.to_owned()),
            ..NewCard::default()
        };
        let card = self.sandbox.create_card(new).map_err(Failure::unwell)?;
        let registration = json!({
            "program": PROGRAM,
            "consumerReference": "consumer-1",
            "token": {
                "paymentToken": card.number.expose(),
                "tokenExpirationMonth": card.expiry.month(),
                "tokenExpirationYear": card.expiry.year(),
            },
        });
        step("The merchant's app registers the card with its token")?;
        self.register(CARD, &registration)
    }

    fn refresh(&self) -> Told {
        let before = self.sandbox.sent().accepted;
        let change = Refresh::NumberAndExpiry;
        self.sandbox
            .refresh(CARD, change)
            .map_err(Failure::unwell)?;
        self.decided(before)
    }

    fn status(&self, status: CardStatus) -> Told {
        let before = self.sandbox.sent().accepted;
        self.sandbox
            .set_status(CARD, status)
            .map_err(Failure::unwell)?;
        self.decided(before)
    }

    /// Waits until the notification is acknowledged and decided, and tells what it did.
    fn decided(&self, before: u64) -> Told {
        wait_until("a notification is not acknowledged in time", || {
            Ok(self.sandbox.sent().accepted > before)
        })?;
        wait_until_decided(self.store)?;
        story::items(self.store, Clock::system().now())
    }

    fn await_cryptogram(&self, id: &CardId) -> Told {
        wait_until("no cryptogram comes in time", || {
            let row = self.store.read(|tx| tx.card(id))?;
            let state = row.and_then(|row| row.card.cryptogram);
            Ok(state == Some(CryptogramState::Stored))
        })?;
        let calls = self.sandbox.count(Operation::Checkout, Some(CARD));
        say(&format!(
            "      Checkout gave a fresh cryptogram (call {calls})"
        ))
    }

    fn credentials(&self, usage: &str, series: Option<u32>) -> Told {
        let path = format!("/v1/cards/{CARD}/credentials");
        let wanted = json!({ "use": usage, "seriesNumberVersion": series });
        let answer = self.post(&path, &wanted)?;
        let (status, body) = (answer.status, answer.body);
        step(&format!(
            "The payment service asks for credentials ({usage})"
        ))?;
        let given = match body.get("cryptogram").is_some_and(Value::is_string) {
            true => "with a cryptogram that nobody gets again",
            false => "without a cryptogram",
        };
        let shown = |field: &str| body.get(field).map(Value::to_string).unwrap_or_default();
        let (sli, version) = (shown("sli"), shown("numberVersion"));
        say(&format!(
            "      POST {path}: {status}, {given}; SLI {sli}, number version {version}"
        ))?;
        match (series, body.get("seriesRestart").and_then(Value::as_bool)) {
            (Some(begun), Some(true)) => say(&format!(
                "      the series began with number version {begun}: it is started anew"
            )),
            _ => Ok(()),
        }
    }

    fn delete_card(&self, id: &CardId) -> Told {
        let path = format!("/v1/cards/{CARD}?reason=OTHER&requestor=CARDHOLDER");
        let status = self.delete(&path)?.status;
        step("The merchant's app deletes the card")?;
        say(&format!(
            "      DELETE {path}: {status}, unusable here at once"
        ))?;
        let is_confirmed = |row: Option<CardRow>| {
            let terminal = row.and_then(|row| row.card.terminal);
            terminal.is_some_and(|terminal| terminal.state == TerminalState::Cancelled)
        };
        wait_until("the deletion is not confirmed in time", || {
            Ok(is_confirmed(self.store.read(|tx| tx.card(id))?))
        })?;
        let there = match self.sandbox.card(CARD) {
            None => "gone there too",
            Some(_) => "still there",
        };
        say(&format!("      confirmed by the other side: {there}"))?;
        say("")
    }
}

//! The story of one card, from its registration to its deletion, against the sandbox.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::story::{self, say};
use super::{PATIENCE, wait_until_decided};
use crate::commands::failure::Failure;
use crate::domain::{CardId, CryptogramState, TerminalState};
use crate::sandbox::{CardStatus, NewCard, Operation, Refresh, Sandbox};
use crate::store::{CardRow, Store};
use crate::telemetry::Clock;

const CARD: &str = "demo-card-of-the-story";
/// The program of the settings that the sandbox answers for.
pub const PROGRAM: &str = "sandbox";

/// What the story is told with.
pub struct Tale<'a> {
    pub sandbox: &'a Sandbox,
    pub store: &'a Store,
    pub agent: &'a ureq::Agent,
    /// URL of the API.
    pub api: &'a str,
    /// API keys of the merchant's app and of its payment service.
    pub app: &'a str,
    pub payments: &'a str,
}

type Told = Result<(), Failure>;

impl Tale<'_> {
    /// Plays the story and tells it as it happens.
    pub fn tell(&self) -> Told {
        say("The story of one card")?;
        let id = CardId::parse(CARD).map_err(Failure::wrong)?;
        self.register()?;
        for what in ["the first refresh", "another refresh"] {
            self.step(&format!("Mastercard: {what}, number and expiry changed"))?;
            self.refresh()?;
            self.await_cryptogram(&id)?;
        }
        self.credentials("single", None)?;
        self.step("Mastercard: SUSPENDED")?;
        self.status(CardStatus::Suspended)?;
        self.step("Mastercard: a refresh while the card is suspended")?;
        self.refresh()?;
        say("      nobody asks for a cryptogram that could not be used")?;
        self.step("Mastercard: ACTIVE again")?;
        self.status(CardStatus::Active)?;
        self.await_cryptogram(&id)?;
        self.credentials("recurring", Some(1))?;
        self.delete(&id)
    }

    fn step(&self, what: &str) -> Told {
        say("")?;
        say(&format!("  * {what}"))
    }

    fn register(&self) -> Told {
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
        let path = format!("/v1/cards/{CARD}");
        let request = self.agent.put(self.url(&path));
        let answer = request
            .header("authorization", format!("Bearer {}", self.app))
            .header("content-type", "application/json")
            .send(registration.to_string())
            .map_err(Failure::unwell)?;
        self.step("The merchant's app registers the card with its token")?;
        say(&format!("      PUT {path}: {}", answer.status().as_u16()))
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
        let mut answer = self
            .agent
            .post(self.url(&path))
            .header("authorization", format!("Bearer {}", self.payments))
            .header("content-type", "application/json")
            .send(wanted.to_string())
            .map_err(Failure::unwell)?;
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_str(
            &answer
                .body_mut()
                .read_to_string()
                .map_err(Failure::unwell)?,
        )
        .map_err(|_| Failure::unwell("the answer is not JSON"))?;
        self.step(&format!(
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

    fn delete(&self, id: &CardId) -> Told {
        let path = format!("/v1/cards/{CARD}?reason=OTHER&requestor=CARDHOLDER");
        let answer = self
            .agent
            .delete(self.url(&path))
            .header("authorization", format!("Bearer {}", self.app))
            .call()
            .map_err(Failure::unwell)?;
        self.step("The merchant's app deletes the card")?;
        let status = answer.status().as_u16();
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

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api)
    }
}

fn wait_until(late: &'static str, mut done: impl FnMut() -> Result<bool, Failure>) -> Told {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            return Err(Failure::unwell(late));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

//! The calls: a token's status is set, tokens are read.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Client;
use crate::domain::{CardId, ProgramToken, TokenCommand, TokenReading};
use crate::jose::Keyring;
use crate::mastercard::call::address;
use crate::mastercard::oauth::percent_encode;
use crate::upstream::{Answer, CallFailure, FailureClass, Request};

/// The longest a payload gets: a token of 255 characters, each escaped, and the names around it.
const LONGEST_PAYLOAD: usize = 1024;

/// The payload of a command; without a number it is for every token of the card.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusPayload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_number: Option<&'a str>,
    token_status: &'static str,
}

impl Client {
    /// Sets the status of one token of a card, or of all of them. Done only if Mastercard answers 204.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn set_token_status(
        &self,
        contract: &CardId,
        token: Option<&ProgramToken>,
        command: TokenCommand,
        keyring: &Keyring,
    ) -> Result<(), CallFailure> {
        let url = self.tokens_of("cards", contract.as_str(), "card-id-cannot-be-sent")?;
        let payload = StatusPayload {
            token_number: token.map(ProgramToken::expose),
            token_status: command.word(),
        };
        let body = self.body(&payload)?;
        let content = (self.0.settings.content_type.as_str(), body.as_slice());
        let answer = self.send("PUT", &url, Some(content))?;
        match answer.status {
            204 => Ok(()),
            _ if answer.is_success() => Err(answer.unusable("unexpected-success")),
            _ => Err(self.failure(&answer, keyring)),
        }
    }

    /// The tokens of a card contract.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn tokens_of_card(
        &self,
        contract: &CardId,
        keyring: &Keyring,
    ) -> Result<Vec<TokenReading>, CallFailure> {
        let url = self.tokens_of("cards", contract.as_str(), "card-id-cannot-be-sent")?;
        self.list(&url, keyring)
    }

    /// The tokens of all cards of a client of the issuer's.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn tokens_of_client(
        &self,
        client_id: &str,
        keyring: &Keyring,
    ) -> Result<Vec<TokenReading>, CallFailure> {
        let url = self.tokens_of("clients", client_id, "client-id-cannot-be-sent")?;
        self.list(&url, keyring)
    }

    /// One token. An answer that speaks of another is not believed.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub fn token(
        &self,
        token: &ProgramToken,
        keyring: &Keyring,
    ) -> Result<TokenReading, CallFailure> {
        let segment = segment(token.expose(), "token-cannot-be-sent")?;
        let url = format!("{}/tokens/{segment}", self.0.base_url);
        let (answer, value) = self.read(&url, keyring)?;
        let reading = self.reading(&value);
        let reading = reading.ok_or_else(|| answer.unusable("wrong-schema"))?;
        match reading.token == *token {
            true => Ok(reading),
            false => Err(answer.unusable("other-token")),
        }
    }

    /// The address of the tokens of a card or a client.
    fn tokens_of(&self, whose: &str, id: &str, unfit: &str) -> Result<String, CallFailure> {
        let segment = segment(id, unfit)?;
        Ok(format!("{}/{whose}/{segment}/tokens", self.0.base_url))
    }

    fn list(&self, url: &str, keyring: &Keyring) -> Result<Vec<TokenReading>, CallFailure> {
        let (answer, value) = self.read(url, keyring)?;
        let list = match &value {
            Value::Array(list) => Some(list),
            value => value
                .get(&self.0.settings.tokens_field)
                .and_then(Value::as_array),
        };
        let readings = list.and_then(|list| list.iter().map(|item| self.reading(item)).collect());
        readings.ok_or_else(|| answer.unusable("wrong-schema"))
    }

    /// Reads; gives a success with what it says.
    fn read(&self, url: &str, keyring: &Keyring) -> Result<(Answer, Value), CallFailure> {
        let status = self.0.settings.status_query.as_str();
        let answer = match status {
            "" => self.send("GET", url, None)?,
            status => {
                let url = address(url, &[("status", status)]);
                self.send("GET", &url, None)?
            }
        };
        if !answer.is_success() {
            return Err(self.failure(&answer, keyring));
        }
        let content = self.content(&answer.body, keyring);
        let value = content.map_err(|reason| answer.unusable(reason))?;
        Ok((answer, value))
    }

    /// A payload as it goes over the wire, encrypted where the settings ask for it.
    fn body(&self, payload: &StatusPayload<'_>) -> Result<Zeroizing<Vec<u8>>, CallFailure> {
        let unfit = || CallFailure::unsent(FailureClass::Retry, "not-encrypted");
        // Large enough from the start: a buffer that grows leaves copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(LONGEST_PAYLOAD));
        serde_json::to_writer(&mut *plain, payload).map_err(|_| unfit())?;
        match &self.0.recipient {
            Some(recipient) => {
                let wrapped = recipient.wrapped(&plain).map_err(|_| unfit())?;
                Ok(Zeroizing::new(wrapped))
            }
            None => Ok(plain),
        }
    }

    /// Signs and sends, with the headers that every call carries.
    fn send(
        &self,
        method: &'static str,
        url: &str,
        body: Option<(&str, &[u8])>,
    ) -> Result<Answer, CallFailure> {
        let correlation_id = Uuid::now_v7().to_string();
        let mut headers = vec![("correlation-id", correlation_id.as_str())];
        headers.extend(self.0.settings.extra_headers.iter());
        let request = Request {
            method,
            url,
            headers,
            body,
        };
        let caller = &self.0.caller;
        let answer = caller.call(request, caller.deadline())?;
        if let Some(theirs) = &answer.correlation_id {
            // Mastercard's support asks for it.
            log::debug!(correlation_id:% = theirs, status = answer.status; "Processing Digital answered");
        }
        Ok(answer)
    }
}

/// A text as one segment of a path.
fn segment(text: &str, unfit: &str) -> Result<String, CallFailure> {
    // As path segments these mean another address.
    match ["", ".", ".."].contains(&text) {
        true => Err(CallFailure::unsent(FailureClass::Refused, unfit)),
        false => Ok(percent_encode(text)),
    }
}

//! What the stories have in common: the other side, the service, and the merchant's systems that ask it.

use serde_json::{Value, json};
use ureq::http::Response;
use ureq::{Body, RequestBuilder};

use super::story::{self, Told, say};
use super::wait_until;
use crate::commands::failure::Failure;
use crate::domain::{CardId, TokenCommand};
use crate::sandbox::Sandbox;
use crate::store::{JobState, JobView, Store};

/// What the stories are told with.
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

/// What the API answered.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Answer {
    /// The status, what became of the request or why it is refused, and what else should be known.
    pub fn sentence(&self) -> String {
        let words = ["outcome", "detail", "note"].map(|name| self.body.get(name));
        let words = words.into_iter().flatten().filter_map(Value::as_str);
        words.fold(self.status.to_string(), |all, word| {
            format!("{all}; {word}")
        })
    }
}

impl Tale<'_> {
    /// Asks as the merchant's app.
    pub fn put(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        send(self.agent.put(self.url(path)), self.app, body)
    }

    /// Asks as the merchant's payment service.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        send(self.agent.post(self.url(path)), self.payments, body)
    }

    /// Asks as the merchant's app.
    pub fn get(&self, path: &str) -> Result<Answer, Failure> {
        let request = with_key(self.agent.get(self.url(path)), self.app);
        read(request.call())
    }

    /// Asks as the merchant's app.
    pub fn delete(&self, path: &str) -> Result<Answer, Failure> {
        let request = with_key(self.agent.delete(self.url(path)), self.app);
        read(request.call())
    }

    /// Registers a card and tells what was answered.
    pub fn register(&self, card: &str, registration: &Value) -> Told {
        let path = format!("/v1/cards/{card}");
        let answer = self.put(&path, registration)?;
        say(&format!("      PUT {path}: {}", answer.sentence()))
    }

    /// Gives a command for one token of a card or for all of them, and tells what was answered.
    pub fn command(&self, card: &str, command: TokenCommand, token: Option<&str>) -> Told {
        let path = format!("/v1/cards/{card}/token-status");
        let wanted = json!({ "tokenStatus": command.word(), "tokenNumber": token });
        let answer = self.put(&path, &wanted)?;
        say(&format!("      PUT {path}: {}", answer.sentence()))
    }

    /// Waits until no call of the card is to be made any more, and tells how its tokens stand.
    pub fn show_tokens(&self, id: &CardId) -> Told {
        let is_open = |job: &JobView| {
            let open = [JobState::Waiting, JobState::Running].map(JobState::name);
            open.contains(&&*job.state)
        };
        wait_until("a call is not made in time", || {
            let jobs = self.store.read(|tx| tx.jobs_of_card(id))?;
            Ok(!jobs.iter().any(is_open))
        })?;
        match self.store.read(|tx| tx.card(id))? {
            Some(row) => story::tokens(&row),
            None => Ok(()),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.api)
    }
}

fn with_key<B>(request: RequestBuilder<B>, key: &str) -> RequestBuilder<B> {
    request.header("authorization", format!("Bearer {key}"))
}

fn send(
    request: RequestBuilder<ureq::typestate::WithBody>,
    key: &str,
    body: &Value,
) -> Result<Answer, Failure> {
    let request = with_key(request, key).header("content-type", "application/json");
    read(request.send(body.to_string()))
}

fn read(answer: Result<Response<Body>, ureq::Error>) -> Result<Answer, Failure> {
    let mut answer = answer.map_err(Failure::unwell)?;
    let text = answer
        .body_mut()
        .read_to_string()
        .map_err(Failure::unwell)?;
    let body = serde_json::from_str(&text);
    Ok(Answer {
        status: answer.status().as_u16(),
        body: body.map_err(|_| Failure::unwell("an answer of the API is not JSON"))?,
    })
}

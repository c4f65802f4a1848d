//! A small HTTP client that never turns a status into an error.

use std::time::Duration;

use serde_json::Value;

#[derive(Clone)]
pub struct Client(ureq::Agent);

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    pub retry_after: Option<String>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The stable code of a problem document.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    pub fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self(config.into())
    }

    /// Posts JSON; `Err` if no whole answer came.
    pub fn try_post(&self, url: &str, body: &str) -> Result<Answer, ureq::Error> {
        let request = self.0.post(url).header("content-type", "application/json");
        read(request.send(body)?)
    }

    /// The same with a mark that is kept beside the delivery.
    pub fn try_post_marked(
        &self,
        url: &str,
        body: &str,
        mark: &str,
    ) -> Result<Answer, ureq::Error> {
        let request = self.0.post(url).header("content-type", "application/json");
        read(request.header("x-src-response-host", mark).send(body)?)
    }

    pub fn post(&self, url: &str, body: &str) -> Answer {
        self.try_post(url, body).unwrap()
    }

    pub fn get(&self, url: &str, key: &str) -> Answer {
        self.try_get(url, key).unwrap()
    }

    /// Asks; `Err` if no whole answer came.
    pub fn try_get(&self, url: &str, key: &str) -> Result<Answer, ureq::Error> {
        let key = format!("Bearer {key}");
        read(self.0.get(url).header("authorization", key).call()?)
    }

    pub fn put(&self, url: &str, key: &str, body: &str) -> Answer {
        self.try_put(url, key, body).unwrap()
    }

    /// The same; `Err` if no whole answer came.
    pub fn try_put(&self, url: &str, key: &str, body: &str) -> Result<Answer, ureq::Error> {
        let request = self
            .0
            .put(url)
            .header("authorization", format!("Bearer {key}"));
        read(
            request
                .header("content-type", "application/json")
                .send(body)?,
        )
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let retry_after = response.headers().get("retry-after");
    let answer = Answer {
        status: response.status().as_u16(),
        retry_after: retry_after.map(|value| value.to_str().unwrap().to_owned()),
        text: response.body_mut().read_to_string()?,
    };
    if answer.status >= 400 {
        super::leaks::keep("errors", answer.text.as_bytes());
    }
    Ok(answer)
}

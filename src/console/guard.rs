//! What stands before every page: its headers, who is signed in, and that a form is this page's own.

use std::net::SocketAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError, web};
use serde::de::DeserializeOwned;

use super::Console;
use super::page::Fault;
use super::sessions::Session;
use crate::api::access::{AccessRole, Caller, Turned};

use crate::api::body;
use crate::receiver::problem::Problem;

/// The cookie with the token of a session.
pub const COOKIE: &str = "tokenkeep-console";

/// Nothing but this process's own files, in no other page's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Who is signed in. Handlers find it among the data of their request.
#[derive(Clone)]
pub struct SignedIn {
    pub caller: Caller,
    pub session: Session,
    peer: Option<SocketAddr>,
}

/// Gives every answer its headers, whatever it is.
pub async fn protect(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut answered = next.call(request).await?;
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        answered.headers_mut().insert(name, value);
    }
    Ok(answered)
}

/// Lets a request pass if it comes with a session whose key may still be used, and records what it reads
/// before it is answered.
pub async fn admit(
    console: web::Data<Console>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let is_look = request.method() == Method::GET;
    let signed_in = match console.signed_in(&request).await {
        Ok(signed_in) => signed_in,
        Err(fault) => {
            let answer = match is_look && fault.status() == StatusCode::UNAUTHORIZED {
                true => see_other("/console/sign-in"),
                false => fault.error_response(),
            };
            return Ok(request.into_response(answer).map_into_right_body());
        }
    };
    let read = is_look.then(|| {
        (
            signed_in.caller.actor.clone(),
            request.uri().path().to_owned(),
        )
    });
    request.extensions_mut().insert(signed_in);
    let answered = next.call(request).await?;
    if let Some((actor, path)) = read
        && let Err(problem) = console
            .api
            .record_read(actor, path, answered.status())
            .await
    {
        let fault = Fault::from(problem).error_response();
        return Ok(answered.into_response(fault.map_into_right_body()));
    }
    Ok(answered.map_into_left_body())
}

/// Sends the browser to another page, with a GET.
pub fn see_other(place: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, place))
        .finish()
}

impl Console {
    /// Who sent a request; the session ends with its key.
    async fn signed_in(&self, request: &ServiceRequest) -> Result<SignedIn, Fault> {
        let api = &self.api;
        let token = token(request.headers());
        let session = token.and_then(|token| self.sessions.take_up(token, api.clock.now()));
        let (Some(token), Some(session)) = (token, session) else {
            let detail = "the session has ended, or nobody is signed in: sign in and do it again";
            return Err(refused(StatusCode::UNAUTHORIZED, "signed-out", detail).into());
        };
        let peer = request.peer_addr();
        let digest = session.key_digest.clone();
        let caller = match api.identify(digest, &[AccessRole::Ops], peer).await {
            Ok(caller) => caller,
            Err(turned) => {
                let problem = api.turn_away(peer, turned).await;
                if problem.status.is_client_error() {
                    self.sessions.end(token);
                }
                return Err(problem.into());
            }
        };
        if request.method() != Method::GET && !is_own(request.headers()) {
            return Err(self.foreign_form(peer, Some(caller.name)).await);
        }
        Ok(SignedIn {
            caller,
            session,
            peer,
        })
    }

    /// Reads a form of somebody who is signed in; it must carry the session's own token.
    pub async fn form<T: DeserializeOwned>(
        &self,
        signed_in: &SignedIn,
        payload: web::Payload,
    ) -> Result<T, Fault> {
        let bytes = body::read(payload).await?;
        let token: FormToken = read_form(&bytes)?;
        let (sent, own) = (token.form_token, &signed_in.session.form_token);
        // The two are compared in constant time, which takes equal lengths.
        if sent.len() != own.len() || !openssl::memcmp::eq(sent.as_bytes(), own.as_bytes()) {
            let key = Some(signed_in.caller.name.clone());
            return Err(self.foreign_form(signed_in.peer, key).await);
        }
        read_form(&bytes)
    }

    /// Refuses a form that no page of ours has sent, and records that.
    pub async fn foreign_form(&self, peer: Option<SocketAddr>, key: Option<String>) -> Fault {
        let detail = "the form does not come from a page of this console: open the page anew and \
                      send it from there, over https or on this machine";
        let problem = refused(StatusCode::FORBIDDEN, "foreign-form", detail);
        let turned = Turned { key, problem };
        self.api.turn_away(peer, turned).await.into()
    }
}

/// What every form of somebody signed in has in it.
#[derive(serde::Deserialize)]
struct FormToken {
    #[serde(default)]
    form_token: String,
}

/// What a form holds that asks why.
#[derive(serde::Deserialize)]
pub struct Reason {
    pub reason: String,
}

/// Reads the fields of a form.
pub fn read_form<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let text = std::str::from_utf8(bytes).ok();
    let form = text.and_then(|text| web::Query::<T>::from_query(text).ok());
    let detail = "the form is not complete";
    let wrong = refused(StatusCode::BAD_REQUEST, "wrong-form", detail);
    Ok(form.ok_or(wrong)?.into_inner())
}

fn refused(status: StatusCode, code: &'static str, detail: &str) -> Problem {
    Problem::new(status, code, detail)
}

/// Whether the browser says that a page of ours has sent the form. Our pages name no referrer, so that
/// `Origin` may be `null`: browsers then say it by `Sec-Fetch-Site`, wherever the way here is trusted.
pub fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    match text(HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        None => {
            let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
            let origin = origin.map(|(_, host)| host);
            origin.is_some() && origin == text(header::HOST)
        }
    }
}

/// The session's token, if the request has the cookie once.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE);
    let pairs = lines.filter_map(|line| line.to_str().ok());
    let pairs = pairs.flat_map(|line| line.split(';'));
    let mut tokens = pairs.filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    let token = tokens.next()?;
    tokens.next().is_none().then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = HeaderName::try_from(*name).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_form_is_our_own_if_the_browser_says_so() {
        let is = |pairs: &[(&str, &str)]| is_own(&headers(pairs));
        assert!(is(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(is(&[("origin", "https://ops.shop"), ("host", "ops.shop")]));
        for foreign in ["cross-site", "same-site", "none", ""] {
            let origin = ("origin", "https://ops.shop");
            assert!(!is(&[
                ("sec-fetch-site", foreign),
                origin,
                ("host", "ops.shop")
            ]));
        }
        assert!(!is(&[
            ("origin", "https://evil.shop"),
            ("host", "ops.shop")
        ]));
        assert!(!is(&[("origin", "null"), ("host", "null")]));
        assert!(!is(&[("host", "ops.shop")]));
    }

    #[test]
    fn a_token_is_read_from_one_cookie_only() {
        let of = |line: &str| token(&headers(&[("cookie", line)])).map(str::to_owned);
        assert_eq!(of("a=b; tokenkeep-console=x; c=d").as_deref(), Some("x"));
        assert_eq!(of("tokenkeep-console=x; tokenkeep-console=y"), None);
        assert_eq!(of("tokenkeep-console2=x"), None);
    }
}

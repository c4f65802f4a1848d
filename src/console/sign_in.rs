//! Signing in with an API key of the role `ops`, and out again.

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Console;
use super::guard::{COOKIE, SignedIn, is_own, read_form, token};
use super::page::{Fault, html};
use crate::api::access::{AccessRole, digest};
use crate::api::body;
use crate::audit::Act;
use crate::receiver::problem::Problem;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    /// Why it did not work, if it was tried.
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct SignIn {
    key: String,
}

/// The form.
pub async fn form() -> Result<HttpResponse, Fault> {
    html(&SignInPage { refusal: None })
}

/// Begins a session, if the key fits. A key that does not is recorded and counted as at the API.
pub async fn enter(
    request: HttpRequest,
    payload: web::Payload,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let (api, peer) = (&console.api, request.peer_addr());
    if !is_own(request.headers()) {
        return Err(console.foreign_form(peer, None).await);
    }
    let form: SignIn = read_form(&body::read(payload).await?)?;
    let digest = digest(form.key.trim());
    let caller = match api.identify(digest, &[AccessRole::Ops], peer).await {
        Ok(caller) => caller,
        Err(turned) => {
            let fault = Fault::from(api.turn_away(peer, turned).await);
            let page = SignInPage {
                refusal: Some(fault.sentence()),
            };
            return Ok(fault.answer_with(html(&page)?));
        }
    };
    let object = "console".to_owned();
    let recorded = api.record(caller.actor, Act::SignedIn, object, "done", Value::Null);
    recorded.await?;
    // Whoever signs in anew leaves no session behind.
    if let Some(earlier) = token(request.headers()) {
        console.sessions.end(earlier);
    }
    let begun = console.sessions.begin(caller.digest, api.clock.now());
    let token = begun.map_err(|_| no_randomness())?;
    // The listener speaks plain HTTP; a proxy before it that ends TLS says so.
    let scheme = request.headers().get("x-forwarded-proto");
    let is_tls = scheme.is_some_and(|scheme| scheme == "https");
    Ok(with_cookie(&token, if is_tls { "; Secure" } else { "" }))
}

/// Ends the session.
pub async fn leave(
    request: HttpRequest,
    payload: web::Payload,
    signed_in: web::ReqData<SignedIn>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let signed_in = signed_in.into_inner();
    let _: IgnoredAny = console.form(&signed_in, payload).await?;
    if let Some(token) = token(request.headers()) {
        console.sessions.end(token);
    }
    let (actor, object) = (signed_in.caller.actor, "console".to_owned());
    let recorded = console
        .api
        .record(actor, Act::SignedOut, object, "done", Value::Null);
    recorded.await?;
    Ok(with_cookie("", "; Max-Age=0"))
}

/// Sends the browser on, with this token and more attributes of its cookie.
fn with_cookie(token: &str, more: &str) -> HttpResponse {
    let cookie = format!("{COOKIE}={token}; Path=/console; HttpOnly; SameSite=Strict{more}");
    HttpResponse::SeeOther()
        .insert_header((LOCATION, "/console"))
        .insert_header((SET_COOKIE, cookie))
        .finish()
}

fn no_randomness() -> Fault {
    let detail = "no session can be begun: the system gives no random bytes";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no-randomness", detail).into()
}

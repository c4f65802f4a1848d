//! `/openapi.json`: the API described, from the handlers and the list of routes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::Method;
use serde_json::json;
use utoipa::OpenApi as _;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, OpenApi, PathItem, Ref, RefOr, Required, Response, ResponseBuilder,
};

use super::refusals::{COMMON, ProblemDocument, Refusal, WRONG_IDEMPOTENCY_KEY};
use super::routes::{self, ApiRoute};
use super::{
    cards, credentials, deletion, docs, events, health, notifications, outbox, readiness, stream,
    timeline, token_status, transactions,
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "tokenkeep",
        description = "Keeps a merchant's Mastercard card-on-file tokens fresh. Refusals are problem \
                       documents (RFC 9457) with a stable `code`. Times are ISO-8601 in UTC. Lists \
                       page with `limit` and `after`, which takes the `next` of the page before."
    ),
    paths(
        health::alive, health::ready, health::metrics, show, docs::show,
        cards::list, cards::show, cards::register, deletion::delete, transactions::show,
        timeline::show,
        token_status::set, token_status::set_contract,
        credentials::issue, readiness::show,
        events::list, stream::open,
        notifications::list, notifications::show, notifications::replay,
        outbox::list, outbox::show, outbox::retry,
    ),
    components(schemas(ProblemDocument)),
    tags(
        (name = "cards", description = "Cards, for the merchant's app"),
        (name = "payments", description = "What a payment needs"),
        (name = "events", description = "Every change of a card, once, in order"),
        (name = "notifications", description = "What Mastercard sent, and what became of it"),
        (name = "outbox", description = "The calls to Mastercard"),
        (name = "health", description = "Whether the process is well, and this description"),
    )
)]
struct Described;

/// The name under which the description knows API keys.
const KEY: &str = "apiKey";

/// The API, described.
pub(super) static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| {
    let mut document = Described::openapi();
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let components = document.components.get_or_insert_default();
    components.add_security_scheme(KEY, SecurityScheme::Http(key.build()));
    for route in routes::all() {
        let item = document.paths.paths.get_mut(route.path);
        if let Some(operation) = item.and_then(|item| operation(item, &route.method)) {
            complete(operation, &route);
        }
    }
    document
});

/// This description.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "health",
    responses((status = 200, body = Object))
)]
pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok().json(&*DOCUMENT)
}

/// The operation of a method, if the path has one.
pub(super) fn operation<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match method.as_str() {
        "GET" => item.get.as_mut(),
        "PUT" => item.put.as_mut(),
        "POST" => item.post.as_mut(),
        "DELETE" => item.delete.as_mut(),
        _ => None,
    }
}

/// What the list of routes knows of an operation: whose keys may use it, and what it refuses.
fn complete(operation: &mut Operation, route: &ApiRoute) {
    let mut refusals = route.refusals.clone();
    if !route.roles.is_empty() {
        refusals.extend(COMMON);
        let roles = route.roles.iter().map(|role| role.name());
        let extension = ExtensionsBuilder::new().add("x-roles", json!(Vec::from_iter(roles)));
        operation.extensions = Some(extension.build());
        operation.security = Some(vec![SecurityRequirement::new(KEY, [""; 0])]);
    }
    let is_repeatable = |refusal: &Refusal| refusal.code == WRONG_IDEMPOTENCY_KEY.code;
    if refusals.iter().any(is_repeatable) {
        let parameters = operation.parameters.get_or_insert_default();
        parameters.push(idempotency_key());
    }
    let mut by_status: BTreeMap<u16, Vec<Refusal>> = BTreeMap::new();
    for refusal in refusals {
        let same = by_status.entry(refusal.status.as_u16()).or_default();
        same.push(refusal);
    }
    for (status, refusals) in by_status {
        let responses = &mut operation.responses.responses;
        let refused = RefOr::T(refused(&refusals));
        responses.entry(status.to_string()).or_insert(refused);
    }
    // Every answer needs a description; where there is one only, it is that of the route.
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = operation.summary.clone().unwrap_or_default();
        }
    }
}

/// The header that makes a request repeatable.
fn idempotency_key() -> RefOr<Parameter> {
    let text = SchemaType::new(Type::String);
    let parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "1 to 255 visible ASCII characters. A repeated request with the same key gets the \
             answer of the first one, for a day.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(text)));
    RefOr::T(parameter.build())
}

/// The answer that these refusals of one status have in common.
fn refused(refusals: &[Refusal]) -> Response {
    let line = |refusal: &Refusal| format!("* `{}`: {}", refusal.code, refusal.detail);
    let lines: Vec<String> = refusals.iter().map(line).collect();
    let codes: Vec<&str> = refusals.iter().map(|refusal| refusal.code).collect();
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new()
        .description(lines.join("\n"))
        .content("application/problem+json", problem)
        .extensions(Some(
            ExtensionsBuilder::new()
                .add("x-codes", json!(codes))
                .build(),
        ))
        .build()
}

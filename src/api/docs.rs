//! `/docs`: the description of the API to read, one page that runs no script and loads nothing.

use std::fmt::Display;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::sha::sha256;
use serde_json::{Map, Value, json};

use super::openapi::DOCUMENT;

const STYLE: &str = include_str!("docs.css");

static PAGE: LazyLock<String> = LazyLock::new(|| page(&json!(*DOCUMENT)));
/// Nothing but the page's own style.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = STANDARD.encode(sha256(STYLE.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// This description, to read.
#[utoipa::path(
    get, path = "/docs", operation_id = "docs", tag = "health",
    responses((status = 200, content_type = "text/html", body = String))
)]
pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(PAGE.as_str())
}

/// The fields of an object; none of anything else.
fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Text as HTML shows it; what stands between backticks is code, a blank line ends a paragraph.
fn prose(text: &str) -> String {
    let escaped = escaped(text).replace("\n\n", "<p>").replace("\n* ", "<br>");
    let pieces = escaped.trim_start_matches("* ").split('`').enumerate();
    let piece = |(place, piece): (usize, &str)| match place % 2 {
        0 => piece.to_owned(),
        _ => format!("<code>{piece}</code>"),
    };
    pieces.map(piece).collect()
}

fn escaped(text: &str) -> String {
    let replaced = text.replace('&', "&amp;").replace('<', "&lt;");
    replaced.replace('>', "&gt;").replace('"', "&quot;")
}

fn page(document: &Value) -> String {
    let info = &document["info"];
    let title = escaped(text(&info["title"]));
    let sections: String = items(&document["tags"])
        .map(|tag| section(document, tag))
        .collect();
    let schemas = document.pointer("/components/schemas");
    let schemas = schemas.into_iter().flat_map(fields);
    let schemas: String = schemas.map(|(name, it)| schema(name, it)).collect();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title} API</title>\
         <style>{STYLE}</style></head><body><h1>{title} {}</h1><p>{}</p>\
         <p>The same for programs: <a href=\"/openapi.json\">openapi.json</a></p>\
         {sections}<h2>Schemas</h2>{schemas}</body></html>",
        escaped(text(&info["version"])),
        prose(text(&info["description"])),
    )
}

/// The operations of one tag.
fn section(document: &Value, tag: &Value) -> String {
    let name = &tag["name"];
    let all = fields(&document["paths"]).flat_map(|(path, item)| {
        fields(item).map(move |(method, operation)| (path, method, operation))
    });
    let tagged = all.filter(|(.., operation)| items(&operation["tags"]).any(|it| it == name));
    let operations: String = tagged
        .map(|(path, method, it)| operation(path, method, it))
        .collect();
    format!(
        "<h2>{}</h2><p>{}</p>{operations}",
        escaped(text(name)),
        prose(text(&tag["description"]))
    )
}

fn operation(path: &str, method: &str, operation: &Value) -> String {
    let roles: Vec<&str> = items(&operation["x-roles"]).map(text).collect();
    let roles = match roles.is_empty() {
        true => "No API key is needed.".to_owned(),
        false => format!("API keys of the roles {}.", roles.join(", ")),
    };
    let parameters = items(&operation["parameters"]).map(|parameter| {
        let place = format!("{} ({})", text(&parameter["name"]), text(&parameter["in"]));
        let kind = kind(&parameter["schema"]);
        [
            escaped(&place),
            kind,
            prose(text(&parameter["description"])),
        ]
    });
    let body =
        contents(&operation["requestBody"]).map(|(media, kind)| [media, kind, String::new()]);
    let responses = fields(&operation["responses"]).map(|(status, response)| {
        let shown: Vec<String> = contents(response)
            .map(|(media, kind)| format!("{kind} <small>{media}</small>"))
            .collect();
        [
            escaped(status),
            shown.join("<br>"),
            prose(text(&response["description"])),
        ]
    });
    format!(
        "<details><summary><b>{}</b> <code>{}</code> {}</summary><p>{}</p><p>{roles}</p>{}{}{}</details>",
        escaped(&method.to_uppercase()),
        escaped(path),
        prose(text(&operation["summary"])),
        prose(text(&operation["description"])),
        table("Parameters", parameters),
        table("Body", body),
        table("Answers", responses),
    )
}

/// Media types with what they hold.
fn contents(of: &Value) -> impl Iterator<Item = (String, String)> {
    fields(&of["content"]).map(|(media, it)| (escaped(media), kind(&it["schema"])))
}

fn table(title: &str, rows: impl Iterator<Item = [String; 3]>) -> String {
    let row = |cells: [String; 3]| format!("<tr><td>{}</td></tr>", cells.join("</td><td>"));
    let rows: String = rows.map(row).collect();
    match rows.is_empty() {
        true => rows,
        false => format!("<h3>{title}</h3><table>{rows}</table>"),
    }
}

/// The kind of value a schema describes, in words.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|at| at.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return either(choices.iter().map(kind));
    }
    match &schema["type"] {
        Value::Array(kinds) => either(kinds.iter().map(|kind| escaped(text(kind)))),
        kind_of if kind_of == "array" => format!("list of {}", kind(&schema["items"])),
        kind_of => escaped(text(kind_of)),
    }
}

fn either(kinds: impl Iterator<Item = impl Display>) -> String {
    let kinds: Vec<String> = kinds.map(|kind| kind.to_string()).collect();
    kinds.join(" or ")
}

fn schema(name: &str, schema: &Value) -> String {
    let rows = fields(&schema["properties"])
        .map(|(field, it)| [escaped(field), kind(it), prose(text(&it["description"]))]);
    let values: Vec<&str> = items(&schema["enum"]).map(text).collect();
    format!(
        "<section id=\"{0}\"><h3>{0}</h3><p>{1}</p><p>{2}</p>{3}</section>",
        escaped(name),
        prose(text(&schema["description"])),
        escaped(&values.join(", ")),
        table("", rows),
    )
}

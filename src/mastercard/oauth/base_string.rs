//! The signature base string: the text that is signed.

use super::Parameters;
use super::encoding::{percent_decode, percent_encode};

/// Members of the header that are not part of what is signed.
const UNSIGNED: [&str; 2] = ["oauth_signature", "realm"];

/// The text is no absolute address, or its query is badly encoded. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an absolute address with a well-encoded query")]
pub struct NotAnAddress;

/// The base string as Mastercard's own libraries write it.
///
/// It deviates from RFC 5849, 3.4.1.3.2: the values of `oauth_parameters` are not encoded before they
/// are joined, and those of the query only where decoding the query changes it. The gateway checks
/// this form.
///
/// # Errors
/// [`NotAnAddress`] if `url` is none.
pub fn base_string(
    method: &str,
    url: &str,
    oauth_parameters: &Parameters,
) -> Result<String, NotAnAddress> {
    let pairs = query_parameters(url)?
        .into_iter()
        .chain(signed(oauth_parameters));
    Ok(joined(method, &base_uri(url)?, &parameter_string(pairs)))
}

/// The base string to the letter of RFC 5849: every name and value is encoded before the joining.
///
/// # Errors
/// [`NotAnAddress`] if `url` is none.
pub fn rfc5849_base_string(
    method: &str,
    url: &str,
    oauth_parameters: &Parameters,
) -> Result<String, NotAnAddress> {
    let decoded = |text: &str| percent_decode(&text.replace('+', " ")).ok_or(NotAnAddress);
    let mut pairs = Vec::new();
    for (name, value) in query_of(url).map(raw_pairs).into_iter().flatten() {
        pairs.push((decoded(name)?, decoded(value)?));
    }
    pairs.extend(signed(oauth_parameters));
    let encoded = pairs
        .into_iter()
        .map(|(name, value)| (percent_encode(&name), percent_encode(&value)));
    Ok(joined(method, &base_uri(url)?, &parameter_string(encoded)))
}

/// Puts the three parts together.
pub(super) fn joined(method: &str, base_uri: &str, parameter_string: &str) -> String {
    format!(
        "{}&{}&{}",
        method.to_ascii_uppercase(),
        percent_encode(base_uri),
        percent_encode(parameter_string)
    )
}

/// Scheme and authority in lower case, a default port dropped, the path as it is; no query.
pub(super) fn base_uri(url: &str) -> Result<String, NotAnAddress> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (scheme, rest) = url
        .get(..end)
        .and_then(|address| address.split_once("://"))
        .ok_or(NotAnAddress)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = scheme.to_ascii_lowercase();
    let authority = authority.to_ascii_lowercase();
    let authority = match scheme.as_str() {
        "http" => authority.strip_suffix(":80").unwrap_or(&authority),
        "https" => authority.strip_suffix(":443").unwrap_or(&authority),
        _ => return Err(NotAnAddress),
    };
    match authority {
        "" => Err(NotAnAddress),
        _ if path.is_empty() => Ok(format!("{scheme}://{authority}/")),
        _ => Ok(format!("{scheme}://{authority}{path}")),
    }
}

/// The query's names and values as Mastercard's libraries join them: as they are if decoding changes
/// none of them, else all of them decoded and encoded anew.
pub(super) fn query_parameters(url: &str) -> Result<Vec<(String, String)>, NotAnAddress> {
    let Some(query) = query_of(url) else {
        return Ok(Vec::new());
    };
    let must_encode = percent_decode(query).ok_or(NotAnAddress)? != query;
    let written = |text: &str| match must_encode {
        false => Ok(text.to_owned()),
        true => percent_decode(text)
            .map(|text| percent_encode(&text))
            .ok_or(NotAnAddress),
    };
    raw_pairs(query)
        .map(|(name, value)| Ok((written(name)?, written(value)?)))
        .collect()
}

/// Sorts by name, then by value, and joins with `=` and `&`.
pub(super) fn parameter_string(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_unstable();
    let joined: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    joined.join("&")
}

fn query_of(url: &str) -> Option<&str> {
    let address = url.split('#').next()?;
    Some(address.split_once('?')?.1)
}

/// Splits before anything is decoded, so that an encoded `&` or `=` separates nothing.
fn raw_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn signed(parameters: &Parameters) -> impl Iterator<Item = (String, String)> + '_ {
    parameters
        .iter()
        .filter(|(name, _)| !UNSIGNED.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
}

//! The `Authorization` header that carries an OAuth 1.0a signature.

use std::collections::BTreeMap;

use super::encoding::percent_decode;

/// Members of the header by name, decoded.
pub type Parameters = BTreeMap<String, String>;

const SCHEME: &str = "OAuth";

/// Reads the value of an `Authorization` header. None if it is not of OAuth, not well-formed, or
/// names a member twice.
///
/// Mastercard's libraries encode either the signature alone or every value, so all are decoded; and
/// `+` is no space, as the unencoded base64 of a body hash has it.
pub fn parse_header(value: &str) -> Option<Parameters> {
    let (scheme, members) = value.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let mut parameters = Parameters::new();
    for member in members.split(',') {
        let (name, quoted) = member.trim().split_once('=')?;
        let value = quoted.strip_prefix('"')?.strip_suffix('"')?;
        let known = parameters.insert(percent_decode(name)?, percent_decode(value)?);
        if known.is_some() {
            return None;
        }
    }
    Some(parameters)
}

/// Writes the header as Mastercard's Java library does: of the values only the signature is encoded,
/// which the caller has done.
pub(super) fn write_header(parameters: &Parameters) -> String {
    let members: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    format!("{SCHEME} {}", members.join(","))
}

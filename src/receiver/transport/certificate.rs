//! Whether a sender's certificate is one of those that the settings name.

use openssl::nid::Nid;
use openssl::x509::{X509NameRef, X509Ref};

use crate::settings::{ClientPin, ClientSubject, SubjectKind, TlsSettings};

/// The names and keys of which a certificate must have one each.
#[derive(Clone)]
pub struct Wanted {
    subjects: Vec<ClientSubject>,
    pins: Vec<ClientPin>,
}

impl Wanted {
    pub fn new(settings: &TlsSettings) -> Self {
        Self {
            subjects: settings.client_subjects.clone(),
            pins: settings.client_pins.clone(),
        }
    }

    /// The entry by which a certificate is accepted: its subject's, or its key's where no subjects
    /// are named. None if it is not accepted.
    pub fn entry_of(&self, certificate: &X509Ref) -> Option<String> {
        let pin = self.pins.iter().find(|pin| has_key(certificate, pin));
        if pin.is_none() && !self.pins.is_empty() {
            return None;
        }
        let mut subjects = self.subjects.iter();
        match subjects.find(|subject| has_name(certificate, subject)) {
            Some(subject) => Some(subject.to_string()),
            None if self.subjects.is_empty() => pin.map(ClientPin::to_string),
            None => None,
        }
    }
}

fn has_key(certificate: &X509Ref, pin: &ClientPin) -> bool {
    let spki = certificate.public_key().and_then(|k| k.public_key_to_der());
    spki.is_ok_and(|spki| pin.is_of(&spki))
}

fn has_name(certificate: &X509Ref, subject: &ClientSubject) -> bool {
    match subject.kind() {
        SubjectKind::Cn => common_name(certificate).as_deref() == Some(subject.name()),
        SubjectKind::Dn => written(certificate.subject_name()).as_deref() == Some(subject.name()),
        SubjectKind::San => {
            let names = certificate.subject_alt_names().into_iter().flatten();
            let mut names = names.filter_map(|name| name.dnsname().map(str::to_owned));
            names.any(|name| name == subject.name())
        }
    }
}

/// None if there are several: which of them is meant would be a guess.
fn common_name(certificate: &X509Ref) -> Option<String> {
    let mut names = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
    let name = names.next()?;
    match names.next() {
        None => Some(name.data().to_string().ok()?),
        Some(_) => None,
    }
}

/// A subject as RFC 4514 writes it, the last part first; what stands together in one part is joined by
/// `+`. None if a part has no short name.
pub fn written(name: &X509NameRef) -> Option<String> {
    let joints = joints(&name.to_der().ok()?)?;
    let mut text = String::new();
    for (entry, joint) in name.entries().zip(joints) {
        let kind = entry.object().nid();
        if kind == Nid::UNDEF {
            return None;
        }
        let value = entry.data().to_string().ok()?;
        let part = format!("{}={}", kind.short_name().ok()?, escaped(&value));
        text = match text.is_empty() {
            true => part,
            false => format!("{part}{joint}{text}"),
        };
    }
    Some(text)
}

/// What stands between each entry of a name in DER and the one before it: a name is a sequence of sets,
/// and openssl's own list of entries does not tell which of them share one.
fn joints(name: &[u8]) -> Option<Vec<char>> {
    let mut joints = Vec::new();
    let (mut sets, _) = element(name)?;
    while !sets.is_empty() {
        let (mut set, rest) = element(sets)?;
        let mut joint = ',';
        while !set.is_empty() {
            joints.push(joint);
            (joint, set) = ('+', element(set)?.1);
        }
        sets = rest;
    }
    Some(joints)
}

/// The content of the first element of DER, and what stands behind it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first.checked_sub(0x80) {
        None => (usize::from(first), rest),
        Some(digits) => {
            let (digits, rest) = rest.split_at_checked(usize::from(digits))?;
            let longer = |length: usize, digit: &u8| {
                length.checked_mul(256)?.checked_add(usize::from(*digit))
            };
            (digits.iter().try_fold(0, longer)?, rest)
        }
    };
    rest.split_at_checked(length)
}

/// A value in which nothing can be taken for the beginning of another part.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::new();
    for (place, character) in value.chars().enumerate() {
        let is_special = matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (character == '#' && place == 0)
            || (character == ' ' && (place == 0 || place == last));
        if is_special {
            text.push('\\');
        }
        match character {
            '\0'..='\x1f' | '\x7f' => text.push_str(&format!("\\{:02X}", u32::from(character))),
            _ => text.push(character),
        }
    }
    text
}

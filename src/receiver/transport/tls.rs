//! What the listener offers and asks for in a handshake.

use std::fs;
use std::path::Path;

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    SslAcceptor, SslAcceptorBuilder, SslContext, SslFiletype, SslMethod, SslOptions,
    SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use openssl::stack::Stack;
use openssl::x509::store::{X509Lookup, X509Store, X509StoreBuilder};
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509Crl, X509StoreContextRef, X509VerifyResult};

use super::certificate::{Wanted, written};
use super::files::DatedFile;
use crate::jose::key_description::seconds_of;
use crate::jose::{KeyDescription, KeyError, KeyPurpose, key_files};
use crate::settings::TlsSettings;

/// RSA below 2048 bits and SHA-1 are too weak, in any certificate of a chain.
const SECURITY_LEVEL: u32 = 2;
/// Intermediates between a sender's certificate and its authority.
const MOST_INTERMEDIATES: u32 = 3;

const NO_CERTIFICATE: &str = "holds no certificate in PEM form, or one that is broken";
const NO_KEY: &str = "holds no private key in PEM form without a passphrase";
const TOO_WEAK: &str =
    "is too weak: RSA has at least 2048 bits, signatures are made with SHA-256 or better";
const NOT_ITS_KEY: &str = "is not the key of receiver.tls.certificate";
const NO_LIST: &str = "holds no revocation list in PEM form, or one that is broken";
const OPENSSL: &str = "receiver.tls";

/// The versions that are offered, the lowest first, each with its cipher suites and the kind of key that the
/// listener's certificate must have for them; empty for any.
type Offered = (
    SslVersion,
    &'static str,
    &'static [(&'static str, &'static str)],
);
const OFFERED: [Offered; 2] = [
    (
        SslVersion::TLS1_2,
        "TLS 1.2",
        &[
            ("ECDHE-ECDSA-AES128-GCM-SHA256", "EC"),
            ("ECDHE-RSA-AES128-GCM-SHA256", "RSA"),
            ("ECDHE-ECDSA-AES256-GCM-SHA384", "EC"),
            ("ECDHE-RSA-AES256-GCM-SHA384", "RSA"),
            ("ECDHE-ECDSA-CHACHA20-POLY1305", "EC"),
            ("ECDHE-RSA-CHACHA20-POLY1305", "RSA"),
            ("DHE-RSA-AES128-GCM-SHA256", "RSA"),
            ("DHE-RSA-AES256-GCM-SHA384", "RSA"),
        ],
    ),
    (
        SslVersion::TLS1_3,
        "TLS 1.3",
        &[
            ("TLS_AES_128_GCM_SHA256", ""),
            ("TLS_AES_256_GCM_SHA384", ""),
            ("TLS_CHACHA20_POLY1305_SHA256", ""),
        ],
    ),
];

/// A version of TLS that the listener speaks.
pub struct OfferedVersion {
    pub name: &'static str,
    /// By OpenSSL's names, the preferred one first.
    pub ciphers: Vec<&'static str>,
}

/// What is offered with a certificate that has a key of this kind.
pub fn offered_with(kind: &str) -> Vec<OfferedVersion> {
    let version = |(_, name, ciphers): &Offered| OfferedVersion {
        name,
        ciphers: ciphers
            .iter()
            .filter(|(_, needed)| needed.is_empty() || *needed == kind)
            .map(|(cipher, _)| *cipher)
            .collect(),
    };
    OFFERED.iter().map(version).collect()
}

fn names_of(version: SslVersion) -> String {
    let ciphers = OFFERED.iter().filter(|(of, ..)| *of == version);
    let names = ciphers.flat_map(|(.., ciphers)| ciphers.iter().map(|(name, _)| *name));
    Vec::from_iter(names).join(":")
}

/// Reads a file's certificates, and notes what they are and when the first of them ends.
struct Reader<'a> {
    keys: &'a Path,
    dated: Vec<DatedFile>,
    descriptions: Vec<KeyDescription>,
}

impl Reader<'_> {
    fn certificates(&mut self, purpose: KeyPurpose, name: &Path) -> Result<Vec<X509>, KeyError> {
        let file = self.keys.join(name);
        let pem = key_files::read(self.keys, &file)?;
        let found = X509::stack_from_pem(&pem).ok().filter(|c| !c.is_empty());
        let found = found.ok_or_else(|| KeyError::unusable(&file, NO_CERTIFICATE))?;
        let ends = found.iter().map(|certificate| certificate.not_after());
        let dated = DatedFile::new(name, ends);
        self.dated.push(dated.map_err(openssl_failed)?);
        for certificate in &found {
            let described = described(certificate, purpose, name).map_err(openssl_failed)?;
            self.descriptions.push(described);
        }
        Ok(found)
    }

    /// Looked at here, because OpenSSL loads it by its path and says little of what is wrong.
    fn revocations(&mut self, name: &Path) -> Result<String, KeyError> {
        let file = self.keys.join(name);
        let unusable = || KeyError::unusable(&file, NO_LIST);
        let pem = fs::read(&file).map_err(|error| KeyError::io(&file, &error))?;
        let list = X509Crl::from_pem(&pem).map_err(|_| unusable())?;
        let dated = DatedFile::new(name, list.next_update());
        self.dated.push(dated.map_err(openssl_failed)?);
        let path = file.to_str().filter(|path| !path.contains('\0'));
        path.map(str::to_owned).ok_or_else(unusable)
    }
}

fn described(
    certificate: &X509,
    purpose: KeyPurpose,
    file: &Path,
) -> Result<KeyDescription, ErrorStack> {
    let file = file.display().to_string();
    let subject = written(certificate.subject_name()).filter(|subject| !subject.is_empty());
    Ok(KeyDescription {
        kid: subject.unwrap_or_else(|| file.clone()),
        file,
        algorithm: certificate.signature_algorithm().object().to_string(),
        ends_at: Some(seconds_of(certificate.not_after())?),
        ..KeyDescription::of(purpose, &*certificate.public_key()?)?
    })
}

fn openssl_failed(_: ErrorStack) -> KeyError {
    KeyError::openssl(OPENSSL)
}

/// The context of every handshake, when each of its files ends, and what is in them.
pub struct Context {
    pub context: SslContext,
    pub files: Vec<DatedFile>,
    pub keys: Vec<KeyDescription>,
}

pub fn load(keys: &Path, settings: &TlsSettings) -> Result<Context, KeyError> {
    let mut reader = Reader {
        keys,
        dated: Vec::new(),
        descriptions: Vec::new(),
    };
    let mut builder = offered().map_err(openssl_failed)?;
    own_certificate(&mut builder, &mut reader, settings)?;
    if !settings.client_authorities.is_empty() {
        asked_for(&mut builder, &mut reader, settings)?;
    }
    Ok(Context {
        context: builder.build().into_context(),
        files: reader.dated,
        keys: reader.descriptions,
    })
}

/// TLS 1.2 and 1.3 without renegotiation and without resumption: a session taken up again would be
/// judged by what was trusted when it began.
fn offered() -> Result<SslAcceptorBuilder, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_security_level(SECURITY_LEVEL);
    builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    builder.set_cipher_list(&names_of(SslVersion::TLS1_2))?;
    builder.set_ciphersuites(&names_of(SslVersion::TLS1_3))?;
    builder.set_options(SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET);
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_num_tickets(0)?;
    builder.set_session_id_context(b"tokenkeep")?;
    builder.set_verify(SslVerifyMode::NONE);
    Ok(builder)
}

fn own_certificate(
    builder: &mut SslAcceptorBuilder,
    reader: &mut Reader<'_>,
    settings: &TlsSettings,
) -> Result<(), KeyError> {
    let name = Path::new(&settings.certificate);
    let mut chain = reader.certificates(KeyPurpose::Listener, name)?.into_iter();
    let too_weak = |_| KeyError::unusable(&reader.keys.join(name), TOO_WEAK);
    if let Some(own) = chain.next() {
        builder.set_certificate(&own).map_err(too_weak)?;
    }
    for intermediate in chain {
        builder
            .add_extra_chain_cert(intermediate)
            .map_err(too_weak)?;
    }
    let file = reader.keys.join(&settings.private_key);
    let pem = key_files::read(reader.keys, &file)?;
    // The empty passphrase keeps OpenSSL from asking for one on the terminal.
    let key = PKey::private_key_from_pem_passphrase(&pem, b"")
        .map_err(|_| KeyError::unusable(&file, NO_KEY))?;
    let set = builder.set_private_key(&key);
    set.and_then(|()| builder.check_private_key())
        .map_err(|_| KeyError::unusable(&file, NOT_ITS_KEY))
}

fn asked_for(
    builder: &mut SslAcceptorBuilder,
    reader: &mut Reader<'_>,
    settings: &TlsSettings,
) -> Result<(), KeyError> {
    let mut authorities = Vec::new();
    for name in &settings.client_authorities {
        authorities.extend(reader.certificates(KeyPurpose::ClientAuthority, name)?);
    }
    let mut lists = Vec::new();
    for name in &settings.client_revocations {
        lists.push(reader.revocations(name)?);
    }
    let mut mode = SslVerifyMode::PEER;
    if settings.client_required {
        mode |= SslVerifyMode::FAIL_IF_NO_PEER_CERT;
    }
    let wanted = Wanted::new(settings);
    builder.set_verify_callback(mode, move |is_in_order, context| {
        is_in_order && is_wanted(&wanted, context)
    });
    builder.set_verify_depth(MOST_INTERMEDIATES);
    let store = trusted(&authorities, &lists).map_err(openssl_failed)?;
    builder
        .set_verify_cert_store(store)
        .map_err(openssl_failed)?;
    let names = names(&authorities).map_err(openssl_failed)?;
    builder.set_client_ca_list(names);
    Ok(())
}

fn trusted(authorities: &[X509], lists: &[String]) -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for authority in authorities {
        store.add_cert(authority.clone())?;
    }
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    if !lists.is_empty() {
        store.set_flags(X509VerifyFlags::CRL_CHECK)?;
        let lookup = store.add_lookup(X509Lookup::file())?;
        for list in lists {
            lookup.load_crl_file(list, SslFiletype::PEM)?;
        }
    }
    Ok(store.build())
}

/// The authorities' names, from which a sender with several certificates can choose.
fn names(authorities: &[X509]) -> Result<Stack<openssl::x509::X509Name>, ErrorStack> {
    let mut names = Stack::new()?;
    for authority in authorities {
        names.push(authority.subject_name().to_owned()?)?;
    }
    Ok(names)
}

/// Judges the sender's own certificate, once its chain is in order up to it.
fn is_wanted(wanted: &Wanted, context: &mut X509StoreContextRef) -> bool {
    if context.error_depth() > 0 {
        return true;
    }
    let certificate = context.current_cert();
    let is_wanted = certificate.is_some_and(|own| wanted.entry_of(own).is_some());
    if !is_wanted {
        context.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
    }
    is_wanted
}

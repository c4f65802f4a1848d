//! Authorities and certificates of a test's own.

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName,
};
use openssl::x509::{CrlNumber, X509, X509Builder, X509CrlBuilder, X509Name, X509RevokedBuilder};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A certificate with its key, and the intermediates that come with it.
#[derive(Clone)]
pub struct Certificate {
    pub own: X509,
    pub key: PKey<Private>,
    pub intermediates: Vec<X509>,
}

/// What a certificate is to be like.
pub struct Wish<'a> {
    pub common_names: &'a [&'a str],
    pub alternative_name: Option<&'a str>,
    /// Days from now.
    pub valid: (i64, i64),
    pub is_for_clients: bool,
    pub is_authority: bool,
    pub digest: MessageDigest,
    pub serial: u32,
    pub key: Option<PKey<Private>>,
}

impl<'a> Wish<'a> {
    /// A client's certificate of this common name.
    pub fn client(common_names: &'a [&'a str]) -> Self {
        Self {
            common_names,
            alternative_name: None,
            valid: (-1, 30),
            is_for_clients: true,
            is_authority: false,
            digest: MessageDigest::sha256(),
            serial: 7,
            key: None,
        }
    }
}

pub fn elliptic_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

pub fn rsa_key(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

impl Certificate {
    /// An authority that vouches for itself.
    pub fn authority(name: &str) -> Self {
        let names = [name];
        let wish = Wish {
            is_authority: true,
            ..Wish::client(&names)
        };
        Self::made(&wish, None)
    }

    /// Issued by this authority, whose own intermediates come along.
    pub fn issue(&self, wish: &Wish) -> Self {
        Self::made(wish, Some(self))
    }

    /// One that nobody but itself vouches for.
    pub fn self_signed(wish: &Wish) -> Self {
        Self::made(wish, None)
    }

    fn made(wish: &Wish, issuer: Option<&Self>) -> Self {
        let key = wish.key.clone().unwrap_or_else(elliptic_key);
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let subject = name(wish.common_names);
        builder.set_subject_name(&subject).unwrap();
        let issuer_name = issuer.map_or(&*subject, |issuer| issuer.own.subject_name());
        builder.set_issuer_name(issuer_name).unwrap();
        builder.set_pubkey(&key).unwrap();
        let serial = Asn1Integer::from_bn(&BigNum::from_u32(wish.serial).unwrap()).unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder
            .set_not_before(&days_from_now(wish.valid.0))
            .unwrap();
        builder.set_not_after(&days_from_now(wish.valid.1)).unwrap();
        extend(&mut builder, wish);
        let signer = issuer.map_or(&key, |issuer| &issuer.key);
        builder.sign(signer, wish.digest).unwrap();
        let intermediates = issuer.into_iter().flat_map(|issuer| {
            let own = issuer.own.clone();
            let is_root = own
                .subject_name()
                .try_cmp(own.issuer_name())
                .unwrap()
                .is_eq();
            let above = issuer.intermediates.iter().cloned();
            (!is_root).then_some(own).into_iter().chain(above)
        });
        Self {
            own: builder.build(),
            key,
            intermediates: intermediates.collect(),
        }
    }

    pub fn pem(&self) -> Vec<u8> {
        self.own.to_pem().unwrap()
    }

    pub fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }

    /// Base64 of the SHA-256 of the public key.
    pub fn pin(&self) -> String {
        let spki = self.key.public_key_to_der().unwrap();
        openssl::base64::encode_block(&openssl::sha::sha256(&spki))
    }

    /// This authority's list, with these serial numbers revoked.
    pub fn revocations(&self, serials: &[u32]) -> Vec<u8> {
        let mut list = X509CrlBuilder::new().unwrap();
        list.set_issuer_name(self.own.subject_name()).unwrap();
        list.set_last_update(&days_from_now(-1)).unwrap();
        list.set_next_update(&days_from_now(9)).unwrap();
        for serial in serials {
            let mut revoked = X509RevokedBuilder::new().unwrap();
            let serial = BigNum::from_u32(*serial)
                .unwrap()
                .to_asn1_integer()
                .unwrap();
            revoked.set_serial_number(&serial).unwrap();
            revoked.set_revocation_date(&days_from_now(-1)).unwrap();
            list.add_revoked(revoked.build()).unwrap();
        }
        let dummy = X509::builder().unwrap();
        let context = dummy.x509v3_context(Some(&self.own), None);
        let issuer = AuthorityKeyIdentifier::new().issuer(true).build(&context);
        list.append_extension(issuer.unwrap()).unwrap();
        let number = CrlNumber::new(BigNum::from_u32(1).unwrap()).unwrap();
        list.append_extension(number.build().unwrap()).unwrap();
        list.sign(&self.key, MessageDigest::sha256()).unwrap();
        list.build().unwrap().to_pem().unwrap()
    }
}

/// An hour later than that, so that whole days are left.
fn days_from_now(days: i64) -> Asn1Time {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap().as_secs()).unwrap();
    Asn1Time::from_unix(now + days * DAY + HOUR).unwrap()
}

fn name(common_names: &[&str]) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("C", "US").unwrap();
    name.append_entry_by_text("O", "Sender, Inc.").unwrap();
    for common_name in common_names {
        name.append_entry_by_nid(Nid::COMMONNAME, common_name)
            .unwrap();
    }
    name.build()
}

fn extend(builder: &mut X509Builder, wish: &Wish) {
    let mut constraints = BasicConstraints::new();
    if wish.is_authority {
        constraints.critical().ca();
    }
    builder
        .append_extension(constraints.build().unwrap())
        .unwrap();
    if !wish.is_authority {
        let mut usage = ExtendedKeyUsage::new();
        match wish.is_for_clients {
            true => usage.client_auth(),
            false => usage.server_auth(),
        };
        builder.append_extension(usage.build().unwrap()).unwrap();
    }
    if let Some(dns) = wish.alternative_name {
        let context = builder.x509v3_context(None, None);
        let names = SubjectAlternativeName::new().dns(dns).build(&context);
        builder.append_extension(names.unwrap()).unwrap();
    }
}

//! What is believed of a sender, where no handshake is needed to see it.

use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use openssl::x509::X509Name;

use super::Peer;
use super::admission::Admission;
use super::certificate::written;
use super::refusals::{self, Refusals};
use crate::settings::{Overrides, ReceiverSettings, Settings};
use crate::telemetry::Metrics;

fn settings(text: &str) -> ReceiverSettings {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let overrides = Overrides {
        config: Some(file.path().to_owned()),
        values: Vec::new(),
    };
    Settings::load(&overrides, []).unwrap().receiver
}

/// Asks who delivers from an address, with these headers.
fn admitted(text: &str, address: &str, headers: &[(&str, &str)]) -> Result<String, &'static str> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    let peer = Peer::plain(Some(address.parse().unwrap()));
    Admission::new(&settings(text)).admit(&peer, &map)
}

#[test]
fn parts_of_a_subject_that_stand_together_are_joined_as_openssl_joins_them() {
    // C=US, O="Sender, Inc." with OU=Cards, CN=ws; as `openssl req -multivalue-rdn` makes it.
    let together = "303f310b30090603550406130255533123300c060355040b0c0543617264733013060355040a\
                    0c0c53656e6465722c20496e632e310b300906035504030c027773";
    let apart = "303b310b3009060355040613025553310e300c060355040b0c054361726473310f300d06035504\
                 0a0c0653656e646572310b300906035504030c027773";
    let read = |hex: &str| {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let der = Vec::from_iter((0..hex.len()).step_by(2).map(byte));
        written(&X509Name::from_der(&der).unwrap()).unwrap()
    };
    assert_eq!(read(together), "CN=ws,O=Sender\\, Inc.+OU=Cards,C=US");
    assert_eq!(read(apart), "CN=ws,O=Sender,OU=Cards,C=US");
}

const BY_ADDRESS: &str = "[receiver.proxy]\ntrusted = [\"10.0.0.0/8\"]";
const BY_SUBJECT: &str = "[receiver.tls]\nclient_subjects = [\"dn:CN=a,O=b\", \"cn:c\"]\n\
    [receiver.proxy]\ntrusted = [\"10.0.0.0/8\"]\ncertificate_header = \"x-client-dn\"";

#[test]
fn of_the_hops_that_a_proxy_tells_the_last_one_counts() {
    let from = |headers: &[(&str, &str)]| admitted(BY_ADDRESS, "10.1.2.3:4", headers).unwrap();
    let name = "x-forwarded-for";
    assert_eq!(from(&[]), "10.1.2.3");
    assert_eq!(from(&[(name, "192.0.2.1, 192.0.2.2")]), "192.0.2.2");
    assert_eq!(
        from(&[(name, "192.0.2.1"), (name, "192.0.2.2")]),
        "192.0.2.2"
    );
    assert_eq!(
        from(&[(name, "192.0.2.1, [2001:db8::1]:77")]),
        "2001:db8::1"
    );
    assert_eq!(from(&[(name, "192.0.2.1, nobody")]), "10.1.2.3");
    assert_eq!(from(&[("forwarded", "for=192.0.2.1")]), "10.1.2.3");
}

#[test]
fn a_subject_counts_in_one_header_of_the_one_name_and_of_the_right_kind() {
    let from = |headers: &[(&str, &str)]| admitted(BY_SUBJECT, "10.1.2.3:4", headers);
    let name = "x-client-dn";
    assert_eq!(from(&[(name, "CN=a,O=b")]).unwrap(), "dn:CN=a,O=b");
    assert_eq!(from(&[]), Err(refusals::NO_HEADER));
    assert_eq!(
        from(&[("x_client_dn", "CN=a,O=b")]),
        Err(refusals::NO_HEADER)
    );
    let twice = [(name, "CN=a,O=b"), (name, "CN=a,O=b")];
    assert_eq!(from(&twice), Err(refusals::NO_HEADER));
    for other in ["", "c", "CN=a", "CN=a,O=b,C=d", "cn=a,o=b", "dn:CN=a,O=b"] {
        assert_eq!(from(&[(name, other)]), Err(refusals::SUBJECT), "{other}");
    }
}

#[test]
fn no_header_is_believed_from_anybody_but_the_proxy() {
    for settings in [BY_ADDRESS, BY_SUBJECT] {
        let headers = [("x-client-dn", "CN=a,O=b"), ("x-forwarded-for", "10.1.2.3")];
        let refused = admitted(settings, "192.0.2.9:4", &headers);
        assert_eq!(refused, Err(refusals::UNTRUSTED));
    }
    let open = admitted("", "192.0.2.9:4", &[("x-forwarded-for", "10.1.2.3")]);
    assert_eq!(open.unwrap(), "192.0.2.9");
}

#[test]
fn a_certificate_of_the_proxys_own_does_not_stand_for_the_senders() {
    let peer = Peer {
        certificate: Some("cn:c".to_owned()),
        ..Peer::plain(Some("10.1.2.3:4".parse().unwrap()))
    };
    let admission = Admission::new(&settings(BY_SUBJECT));
    let none = HeaderMap::new();
    assert_eq!(admission.admit(&peer, &none), Err(refusals::NO_HEADER));
}

#[test]
fn a_cause_is_told_once_a_minute_with_how_many_were_not_told() {
    let refusals = Refusals::new(Metrics::new());
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    assert_eq!(refusals.others("one", at(0)), Some(0));
    assert_eq!(refusals.others("other", at(1)), Some(0));
    assert_eq!(refusals.others("one", at(2)), None);
    assert_eq!(refusals.others("one", at(59)), None);
    assert_eq!(refusals.others("one", at(60)), Some(2));
    assert_eq!(refusals.others("one", at(119)), None);
}

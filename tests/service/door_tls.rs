//! Who may deliver over TLS: of all certificates there are, the one that was named.

use openssl::hash::MessageDigest;
use openssl::ssl::SslVersion;
use rstest::rstest;

use crate::support::certificates::{Certificate, Wish, rsa_key};
use crate::support::sql::sql;
use crate::support::tls::{ASKING, BOTH, SENDER, TlsFolder, post, refused, sender};

const SERIAL_REVOKED: u32 = 666;

/// A sender's certificate, and the cause for which it is refused.
type Case = (&'static str, Certificate, &'static str);

/// Certificates of which each lacks one thing.
fn unfit(authority: &Certificate) -> Vec<Case> {
    let other = Certificate::authority("Another Authority");
    let of = |wish: &Wish| authority.issue(wish);
    let right = || Wish::client(&[SENDER]);
    let wrong = || Wish::client(&["www.merchant.example"]);
    let mut long = authority.clone();
    for number in 0..9 {
        let name = format!("Intermediate {number}");
        long = long.issue(&Wish {
            is_authority: true,
            ..Wish::client(&[&name])
        });
    }
    let mut cases = vec![
        (
            "self-signed",
            Certificate::self_signed(&right()),
            "authority",
        ),
        ("wrong authority", other.issue(&wrong()), "authority"),
        (
            "right subject, other authority",
            other.issue(&right()),
            "authority",
        ),
        ("right authority, other subject", of(&wrong()), "subject"),
        ("ten in a chain", long.issue(&right()), "chain-too-long"),
        (
            "two common names",
            of(&Wish::client(&["a.example", SENDER])),
            "subject",
        ),
        (
            "a name that goes on after a NUL",
            of(&Wish::client(&["ws.sender.example\0.evil.example"])),
            "subject",
        ),
    ];
    let mut with = |case, cause, change: &dyn Fn(&mut Wish)| {
        let mut wish = right();
        change(&mut wish);
        cases.push((case, authority.issue(&wish), cause));
    };
    with("expired", "certificate-expired", &|w| w.valid = (-9, -1));
    with("not yet valid", "certificate-not-yet-valid", &|w| {
        w.valid = (1, 9)
    });
    with("for servers only", "certificate-purpose", &|w| {
        w.is_for_clients = false
    });
    with("RSA of 1024 bits", "certificate-weak", &|w| {
        w.key = Some(rsa_key(1024))
    });
    with("SHA-1", "certificate-weak", &|w| {
        w.digest = MessageDigest::sha1()
    });
    with("revoked", "certificate-revoked", &|w| {
        w.serial = SERIAL_REVOKED
    });
    with("the name in another place", "subject", &|w| {
        w.common_names = &["other.example"];
        w.alternative_name = Some(SENDER);
    });
    cases
}

#[test]
fn w24_of_all_certificates_only_the_right_one_is_let_in() {
    let authority = Certificate::authority("Public Authority");
    let folder = TlsFolder::new(&[&authority]);
    folder.put("revoked.crl", &authority.revocations(&[SERIAL_REVOKED]));
    let lists = "client_revocations = [\"tls/revoked.crl\"]\n";
    let app = folder.spawn(&format!("{ASKING}{lists}"));
    let cases = unfit(&authority);
    for version in BOTH {
        for (case, certificate, cause) in &cases {
            let before = refused(&app, cause);
            let answer = post(app.public(), &sender(Some(certificate), version));
            assert!(answer.is_none(), "{case}: {answer:?}");
            assert_eq!(refused(&app, cause), before + 1, "{case}: {version:?}");
        }
        let before = refused(&app, "no-certificate");
        assert!(post(app.public(), &sender(None, version)).is_none());
        assert_eq!(refused(&app, "no-certificate"), before + 1);
    }
    assert_eq!(app.database.deliveries(), 0);
    let right = authority.issue(&Wish::client(&[SENDER]));
    for version in [SslVersion::TLS1, SslVersion::TLS1_1] {
        assert!(post(app.public(), &sender(Some(&right), version)).is_none());
    }
    assert_eq!(refused(&app, "handshake"), 2);
    for version in BOTH {
        let answer = post(app.public(), &sender(Some(&right), version));
        assert_eq!(answer.unwrap().status, 204, "{version:?}");
    }
    let sources = sql(&app.database).texts("SELECT source AS text FROM deliveries");
    assert_eq!(sources, ["cn:ws.sender.example"; 2]);
    println!(
        "W-24 {} certificates refused, on 2 versions",
        cases.len() + 1
    );
}

#[rstest]
#[case::dn("client_subjects = [\"dn:CN=ws.sender.example,O=Sender\\\\, Inc.,C=US\"]")]
#[case::san("client_subjects = [\"san:ws.sender.example\"]")]
#[case::pin("client_pins = [\"PIN\"]")]
#[case::both("client_subjects = [\"san:ws.sender.example\"]\nclient_pins = [\"PIN\"]")]
fn w24_the_sender_may_be_named_by_its_whole_subject_another_name_or_its_key(#[case] named: &str) {
    let authority = Certificate::authority("Public Authority");
    let folder = TlsFolder::new(&[&authority]);
    let right = authority.issue(&Wish {
        alternative_name: Some(SENDER),
        ..Wish::client(&[SENDER])
    });
    let named = named.replace("PIN", &right.pin());
    let asking = ASKING.replace("client_subjects = [\"cn:ws.sender.example\"]", &named);
    let app = folder.spawn(&asking);
    // The name is not where it was said to be, or the key is another.
    let organisation = authority.issue(&Wish::client(&["x", SENDER]));
    let without = authority.issue(&Wish::client(&["ws.sender.example "]));
    for version in BOTH {
        let answer = post(app.public(), &sender(Some(&right), version));
        assert_eq!(answer.unwrap().status, 204);
        for other in [&organisation, &without] {
            assert!(post(app.public(), &sender(Some(other), version)).is_none());
        }
    }
    assert_eq!(refused(&app, "subject"), 4);
    let pinned = named.contains("client_pins");
    let same_name = authority.issue(&Wish {
        alternative_name: Some(SENDER),
        ..Wish::client(&[SENDER])
    });
    let answer = post(app.public(), &sender(Some(&same_name), BOTH[1]));
    assert_eq!(answer.is_none(), pinned);
}

#[test]
fn w24_a_name_in_the_common_name_alone_is_not_the_alternative_name_that_was_asked_for() {
    let authority = Certificate::authority("Public Authority");
    let folder = TlsFolder::new(&[&authority]);
    let app = folder.spawn(&ASKING.replace("cn:", "san:"));
    let common = authority.issue(&Wish::client(&[SENDER]));
    let alternative = authority.issue(&Wish {
        alternative_name: Some(SENDER),
        ..Wish::client(&["other.example"])
    });
    for version in BOTH {
        assert!(post(app.public(), &sender(Some(&common), version)).is_none());
        let answer = post(app.public(), &sender(Some(&alternative), version));
        assert_eq!(answer.unwrap().status, 204);
    }
    assert_eq!(refused(&app, "subject"), 2);
    println!("W-24 the name in CN but not in SAN: refused, on 2 versions");
}

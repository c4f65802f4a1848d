//! Names, pins and networks are read exactly, and contradictions are refused.

use super::{ClientPin, ClientSubject, Network};
use crate::settings::{Overrides, Settings};

fn load(text: &str) -> Result<Settings, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let overrides = Overrides {
        config: Some(file.path().to_owned()),
        values: Vec::new(),
    };
    Settings::load(&overrides, []).map_err(|error| error.to_string())
}

fn network(text: &str) -> Result<Network, &'static str> {
    Network::try_from(text.to_owned())
}

#[test]
fn a_network_holds_the_addresses_under_its_prefix_and_no_others() {
    for (written, inside, outside) in [
        ("10.1.0.0/16", "10.1.255.3", "10.2.0.1"),
        ("10.1.0.0/16", "::ffff:10.1.0.9", "::ffff:10.2.0.9"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
        ("fd00::/8", "fdff::1", "fe00::1"),
        ("::1", "::1", "::2"),
        ("::/8", "00ff::1", "10.1.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("::ffff:10.1.0.0/112", "::ffff:10.1.2.3", "10.2.0.1"),
    ] {
        let network = network(written).unwrap();
        assert!(network.contains(inside.parse().unwrap()), "{written}");
        assert!(!network.contains(outside.parse().unwrap()), "{written}");
    }
    for wrong in [
        "",
        "10.1.0.0/33",
        "10.1.2.0/16",
        "proxy",
        "10.1.0.0/-1",
        "::/129",
    ] {
        assert!(network(wrong).is_err(), "{wrong}");
    }
    for everybody in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
        assert!(network(everybody).unwrap().is_everybody(), "{everybody}");
    }
}

#[test]
fn subjects_and_pins_are_read_in_their_forms_only() {
    let subject = |text: &str| ClientSubject::try_from(text.to_owned());
    for text in ["cn:ws.mastercard.com", "dn:CN=a:b,O=c", "san:a.example"] {
        assert_eq!(subject(text).unwrap().to_string(), text);
    }
    for wrong in ["ws.mastercard.com", "cn:", "CN:a", "email:a"] {
        assert!(subject(wrong).is_err(), "{wrong}");
    }
    let pin = |text: &str| ClientPin::try_from(text.to_owned());
    let hex = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
    let base64 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(pin(hex), pin(base64));
    assert!(pin(hex).unwrap().is_of(b""));
    assert!(pin("47DEQpj8").is_err());
}

#[test]
fn contradictions_are_told_with_their_setting() {
    let certificate = "certificate = \"a\"\nprivate_key = \"b\"\n";
    for (text, setting) in [
        ("[receiver.tls]\ncertificate = \"a\"".to_owned(), "tls"),
        (
            "[receiver.tls]\nclient_authorities = [\"a\"]\nclient_subjects = [\"cn:a\"]".to_owned(),
            "tls.client_authorities",
        ),
        (
            format!("[receiver.tls]\n{certificate}client_authorities = [\"a\"]"),
            "tls.client_authorities",
        ),
        (
            format!("[receiver.tls]\n{certificate}client_subjects = [\"cn:a\"]"),
            "tls.client_subjects",
        ),
        (
            format!("[receiver.tls]\n{certificate}client_revocations = [\"a\"]"),
            "tls.client_revocations",
        ),
        (
            "[receiver.proxy]\ntrusted = [\"::/0\"]".to_owned(),
            "proxy.trusted",
        ),
        (
            "[receiver.proxy]\ntrusted = [\"::1\"]\naddress_header = \"x_real\"".to_owned(),
            "proxy.address_header",
        ),
        (
            "[receiver.proxy]\ncertificate_header = \"x-dn\"".to_owned(),
            "proxy.certificate_header",
        ),
        (
            "[receiver.tls]\nclient_subjects = [\"cn:a\"]\n[receiver.proxy]\n\
             trusted = [\"::1\"]\ncertificate_header = \"x-dn\"\ncertificate_header_holds = \"dn\""
                .to_owned(),
            "proxy.certificate_header",
        ),
    ] {
        let told = load(&text).err().unwrap_or_default();
        assert!(
            told.contains(&format!("receiver.{setting}: ")),
            "{text}: {told}"
        );
    }
}

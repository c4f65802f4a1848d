//! Addresses of a program: what is none, and which are refused where.

use rstest::rstest;

use super::program;
use crate::settings::ProgramFault;

#[test]
fn what_is_no_address_is_refused() {
    for url in [
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https:///path",
        "https://:443",
        "https://example.com:https",
        "https://example.com:65536",
        "https://[::1",
        "https://[::1]x",
        "https://user:password@example.com",
        "https://example.com/?a=b",
        "https://example.com/#a",
        "https://exämple.com",
        "https://example.com/a b",
        "HTTPS://example.com",
    ] {
        assert!(program(&format!("base_url = \"{url}\"")).is_err(), "{url}");
        let or_none = program(&format!("verification_url = \"{url}\"")).is_err();
        assert_eq!(or_none, !url.is_empty(), "{url}");
    }
    let ends_in_slash = program("base_url = \"https://example.com/src/\"").unwrap();
    assert_eq!(ends_in_slash.connection.base_url, "https://example.com/src");
}

#[test]
fn plain_http_is_for_this_machine_only_and_never_for_production() {
    let local = [
        "http://127.0.0.1:9000/src",
        "http://localhost",
        "http://localhost:1/x",
        "http://[::1]:9000",
        "http://127.8.8.8",
    ];
    let away = [
        "http://example.com",
        "http://10.0.0.1:80/src",
        "http://[2001:db8::1]:80",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0",
    ];
    for name in ["base_url", "verification_url"] {
        let check = |url: &str, production| {
            program(&format!("{name} = \"{url}\""))
                .unwrap()
                .check(production)
        };
        for url in local {
            assert_eq!(check(url, false), Ok(()), "{url}");
        }
        for url in away {
            assert_eq!(
                check(url, false),
                Err(ProgramFault::PlainHttp(name)),
                "{url}"
            );
        }
        for url in local.into_iter().chain(away) {
            let refused = Err(ProgramFault::PlainHttpInProduction(name));
            assert_eq!(check(url, true), refused, "{url}");
        }
        assert_eq!(check("https://example.com/src", true), Ok(()));
    }
    assert_eq!(program("").unwrap().check(true), Ok(()));
}

#[test]
fn w26_what_leads_to_a_machine_that_only_this_one_knows_is_refused_in_production() {
    let private = [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "8.8.8.8",
        "[::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.1",
        "0x7f.0.0.1",
        "localhost",
        "LOCALHOST",
        "shop.localhost",
        "bank",
        "api.mastercard.com.",
        "api..mastercard.com",
        ".com",
    ];
    let public = [
        "api.mastercard.com",
        "a-1.example",
        "1.2.example.com",
        "xn--bcher-kva.example",
    ];
    for name in ["base_url", "verification_url"] {
        let check = |host: &str, production| {
            let more = format!("{name} = \"https://{host}:443/src\"");
            program(&more).unwrap().check(production)
        };
        for host in private {
            let refused = Err(ProgramFault::NotPublic(name));
            assert_eq!(check(host, true), refused, "{host}");
            assert_eq!(check(host, false), Ok(()), "{host}");
        }
        for host in public {
            assert_eq!(check(host, true), Ok(()), "{host}");
        }
    }
}

#[rstest]
#[case("file:///etc/passwd")]
#[case("file://api.mastercard.com/x")]
#[case("https://user@api.mastercard.com")]
#[case("https://api.mastercard.com@evil.example/")]
#[case(r"https://api.mastercard.com\\@evil.example/")]
#[case("//api.mastercard.com")]
fn w26_another_scheme_and_a_user_are_refused_everywhere(#[case] url: &str) {
    assert!(program(&format!("base_url = \"{url}\"")).is_err());
}

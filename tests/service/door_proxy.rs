//! Who may deliver behind a proxy: whoever the proxy says, and nobody who says so himself.

use std::time::Duration;

use rstest::rstest;

use crate::support::raw::{Reply, exchange};
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::tls::request;
use crate::support::{App, Backend, TestDatabase};
use crate::wire_settings::app;

/// The peer of these tests is 127.0.0.1.
const ELSEWHERE: &str = "10.9.9.9";
const BY_SUBJECT: &str = "[receiver.tls]\nclient_subjects = [\"cn:ws.sender.example\"]\n\
    [receiver.proxy]\ntrusted = [\"127.0.0.0/8\"]\ncertificate_header = \"x-client-cert\"\n\
    certificate_header_holds = \"cn\"\n";

fn deliver(app: &App, headers: &str) -> Reply {
    exchange(app.public(), request(headers)).expect("an answer")
}

fn sources(app: &App) -> Vec<String> {
    sql(&app.database).texts("SELECT source AS text FROM deliveries ORDER BY sequence")
}

/// Every way of saying that one is somebody else.
const SPOOFED: [&str; 12] = [
    "",
    "X-Forwarded-For: 10.9.9.9\r\n",
    "X-Forwarded-For: 192.0.2.1, 10.9.9.9\r\n",
    "Forwarded: for=10.9.9.9\r\n",
    "X-Real-IP: 10.9.9.9\r\n",
    "X-SSL-Client-Verify: SUCCESS\r\n",
    "X-Client-Cert: ws.sender.example\r\n",
    "x_client_cert: ws.sender.example\r\n",
    "X-CLIENT-cert: ws.sender.example\r\n",
    "X-Client-Cert: ws.sender.example\r\nX-Client-Cert: ws.sender.example\r\n",
    "X-Forwarded-For: 10.9.9.9\r\nX-Forwarded-For: 10.9.9.9\r\n",
    "X-Forwarded-For: 10.9.9.9\r\nX-Client-Cert: ws.sender.example\r\nX-SSL-Client-Verify: SUCCESS\r\n",
];

#[test]
fn w23_from_an_untrusted_peer_no_header_counts_and_the_log_shows_the_socket_address() {
    let database = TestDatabase::new(Backend::Sqlite);
    let serve = Serve::start_with(
        &database,
        &[
            ("TOKENKEEP_RECEIVER__PROXY__TRUSTED", ELSEWHERE),
            (
                "TOKENKEEP_RECEIVER__PROXY__CERTIFICATE_HEADER",
                "x-client-cert",
            ),
            ("TOKENKEEP_RECEIVER__PROXY__CERTIFICATE_HEADER_HOLDS", "cn"),
            (
                "TOKENKEEP_RECEIVER__TLS__CLIENT_SUBJECTS",
                "cn:ws.sender.example",
            ),
            ("TOKENKEEP_RECEIVER__SIBLING_PATHS", "/notifications/dpa"),
        ],
    );
    for headers in SPOOFED {
        for path in ["/notifications/card", "/notifications/dpa"] {
            let answer = exchange(
                serve.address(),
                request(headers).replace("/notifications/card", path),
            )
            .expect("an answer");
            assert_eq!(
                (answer.status, &*answer.code()),
                (401, "unknown-sender"),
                "{headers}"
            );
        }
    }
    assert_eq!(database.deliveries(), 0);
    std::thread::sleep(Duration::from_millis(200));
    let told = serve.logged("sender refused");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("untrusted-address, from 127.0.0.1:"),
        "{told:?}"
    );
    assert!(serve.logged(ELSEWHERE).is_empty());
    let alive = exchange(serve.address(), "GET /livez HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(alive.unwrap().status, 200);
    println!("W-23 {} spoofed requests refused", 2 * SPOOFED.len());
}

#[test]
fn w23_the_proxy_is_believed_about_the_last_hop_only() {
    let app = app("[receiver.proxy]\ntrusted = [\"127.0.0.1\"]\n");
    for (headers, source) in [
        ("", "127.0.0.1"),
        ("X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7"),
        ("X-Forwarded-For: 192.0.2.1, 203.0.113.7\r\n", "203.0.113.7"),
        (
            "X-Forwarded-For: 192.0.2.1\r\nx-forwarded-for: 203.0.113.7\r\n",
            "203.0.113.7",
        ),
        ("X-Forwarded-For: 203.0.113.7, unknown\r\n", "127.0.0.1"),
        (
            "X-Real-IP: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n",
            "127.0.0.1",
        ),
    ] {
        assert_eq!(deliver(&app, headers).status, 204, "{headers}");
        assert_eq!(sources(&app).last().unwrap(), source, "{headers}");
    }
}

#[rstest]
#[case::none("", 401)]
#[case::right("X-Client-Cert: ws.sender.example\r\n", 204)]
#[case::mixed_case("X-cLIENT-cERT: ws.sender.example\r\n", 204)]
#[case::other("X-Client-Cert: www.merchant.example\r\n", 401)]
#[case::longer("X-Client-Cert: ws.sender.example.evil.example\r\n", 401)]
#[case::verified_only("X-SSL-Client-Verify: SUCCESS\r\n", 401)]
#[case::underscores("X_Client_Cert: ws.sender.example\r\n", 401)]
#[case::doubled("X-Client-Cert: ws.sender.example\r\nX-Client-Cert: x\r\n", 401)]
#[case::listed("X-Client-Cert: ws.sender.example, ws.sender.example\r\n", 401)]
fn w23_the_proxy_must_tell_the_right_subject_in_its_one_header(
    #[case] headers: &str,
    #[case] status: u16,
) {
    let app = app(BY_SUBJECT);
    assert_eq!(deliver(&app, headers).status, status);
    let expected: &[&str] = if status == 204 {
        &["cn:ws.sender.example"]
    } else {
        &[]
    };
    assert_eq!(sources(&app), expected);
}

#[test]
fn without_a_proxy_headers_say_nothing_and_the_socket_address_is_kept() {
    let app = App::spawn(Backend::Sqlite);
    for headers in SPOOFED {
        assert_eq!(deliver(&app, headers).status, 204, "{headers}");
    }
    assert!(sources(&app).iter().all(|source| source == "127.0.0.1"));
}

//! How long the other side asks to wait, where the keys are under which it signs, and which addresses
//! are called in production.

use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use rstest::rstest;

use crate::settings::{ProgramSettings, Reach};
use crate::telemetry::Clock;
use crate::upstream::failure::retry_after;
use crate::upstream::public::is_within;
use crate::upstream::{Exchange, KeySetFiles, Verification};

/// 20 July 2026, 10:00 UTC, in milliseconds.
const NOW: i64 = 1_784_541_600_000;

#[rstest]
#[case("1", Some(1))]
#[case(" 120 ", Some(120))]
#[case("3600", Some(3600))]
#[case("3601", Some(3600))]
#[case("1000000000", Some(3600))]
#[case("99999999999999999999999999", Some(3600))]
#[case("0", None)]
#[case("-5", None)]
#[case("+5", None)]
#[case("1.5", None)]
#[case("", None)]
#[case("soon", None)]
#[case("Mon, 20 Jul 2026 10:02:00 GMT", Some(120))]
#[case("Mon, 20 Jul 2026 09:59:59 GMT", None)]
#[case("Mon, 20 Jul 2026 10:00:00 GMT", None)]
#[case("Wed, 01 Jan 2053 00:00:00 GMT", Some(3600))]
#[case("Mon, 20 Jul 2026 25:00:00 GMT", None)]
fn retry_after_is_seconds_or_a_date_and_an_hour_at_most(
    #[case] value: &str,
    #[case] seconds: Option<u64>,
) {
    assert_eq!(retry_after(value, NOW), seconds.map(Duration::from_secs));
}

#[test]
fn the_keys_of_a_program_come_from_a_folder_from_one_file_or_from_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("keys");
    let load = |files| Verification::load(&root, files, "bank", false);
    let file = |name: &str| KeySetFiles::File(name.into());
    for files in [
        KeySetFiles::Folder("verification"),
        file("verification/sandbox.json"),
    ] {
        assert_eq!(load(files).unwrap().keys().kids().count(), 1);
    }
    assert!(load(file("")).unwrap().can_never_verify());
    let told = load(file("verification/no.json"))
        .err()
        .unwrap()
        .to_string();
    assert!(
        told.contains("verification/no.json: entity not found"),
        "{told}"
    );
}

#[rstest]
#[case("8.8.8.8", true)]
#[case("172.15.0.1", true)]
#[case("100.128.0.1", true)]
#[case("2606:4700::1111", true)]
#[case("64:ff9b::808:808", true)]
#[case("0.0.0.0", false)]
#[case("10.1.2.3", false)]
#[case("100.64.0.1", false)]
#[case("127.0.0.1", false)]
#[case("169.254.169.254", false)]
#[case("172.16.0.1", false)]
#[case("192.0.0.1", false)]
#[case("192.0.2.1", false)]
#[case("192.168.0.1", false)]
#[case("198.19.0.1", false)]
#[case("224.0.0.1", false)]
#[case("255.255.255.255", false)]
#[case("::", false)]
#[case("::1", false)]
#[case("::ffff:8.8.8.8", false)]
#[case("::7f00:1", false)]
#[case("64:ff9b::a00:1", false)]
#[case("2001::1", false)]
#[case("2001:db8::1", false)]
#[case("2002:7f00:1::", false)]
#[case("fc00::1", false)]
#[case("fe80::1", false)]
#[case("ff02::1", false)]
fn w26_an_address_is_public_or_reserved_for_something_else(
    #[case] address: IpAddr,
    #[case] expected: bool,
) {
    assert_eq!(is_within(Reach::Public, address), expected);
    assert!(is_within(Reach::Anywhere, address));
}

#[rstest]
#[case("8.8.8.8", true)]
#[case("10.1.2.3", true)]
#[case("172.31.255.254", true)]
#[case("192.168.0.1", true)]
#[case("fd12:3456:789a::1", true)]
#[case("2606:4700::1111", true)]
#[case("127.0.0.1", false)]
#[case("::1", false)]
#[case("0.0.0.0", false)]
#[case("169.254.169.254", false)]
#[case("fe80::1", false)]
#[case("fd00:ec2::254", false)]
#[case("fd20:ce::254", false)]
#[case("100.100.100.200", false)]
#[case("::ffff:10.0.0.1", false)]
#[case("::ffff:169.254.169.254", false)]
#[case("64:ff9b::a9fe:a9fe", false)]
#[case("64:ff9b::a00:1", false)]
#[case("172.32.0.1", true)]
#[case("198.18.0.1", false)]
#[case("224.0.0.1", false)]
fn w26_a_private_network_may_be_allowed_and_this_machine_and_metadata_never_are(
    #[case] address: IpAddr,
    #[case] expected: bool,
) {
    assert_eq!(is_within(Reach::PublicOrPrivate, address), expected);
}

/// As if a name had been good when the settings were read, and led to this machine afterwards.
#[test]
fn w26_a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let port = canary.local_addr().unwrap().port();
    let url = format!("http://localhost:{port}/keys");
    let program = format!("kind = \"mastercard-checkout\"\nbase_url = \"{url}\"");
    let program: ProgramSettings = toml::from_str(&program).unwrap();
    let mut connection = program.connection;
    // The one that may connect shows that the canary would have seen the others.
    for reach in [Reach::Public, Reach::PublicOrPrivate, Reach::Anywhere] {
        connection.reach = reach;
        let is_called = reach == Reach::Anywhere;
        let exchange = Exchange::new(&connection, Clock::from_fn(|| NOW));
        let deadline = Instant::now() + Duration::from_millis(500);
        let failure = exchange.fetch(&url, deadline).unwrap_err();
        assert_eq!(failure.may_have_arrived, is_called, "{failure}");
        assert_eq!(canary.accept().is_ok(), is_called);
    }
    println!("W-26 a name that changed to this machine: 0 connections to the canary, in 2 reaches");
}

//! How failures are counted: by address, for a minute, within bounds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use crate::api::Failures;
use crate::api::failures::{FREE, MOST_ADDRESSES, WINDOW};

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

/// Counts so many failures; returns how many of them were told to wait.
fn count(failures: &Failures, address: IpAddr, times: u32, now: Instant) -> usize {
    let counted = (0..times).filter_map(|_| failures.count(address, now));
    counted.count()
}

#[test]
fn w22_what_is_beyond_the_free_failures_of_a_minute_waits_for_its_end_and_no_other_address_does() {
    let (failures, now) = (Failures::default(), Instant::now());
    assert_eq!(count(&failures, v4(1), FREE, now), 0);
    let later = now + Duration::from_secs(20);
    assert_eq!(failures.count(v4(1), later), Some(40));
    assert_eq!(count(&failures, v4(1), 9_999, now), 9_999);
    assert_eq!(failures.count(v4(2), now), None);
    assert_eq!(failures.count(v4(1), now + WINDOW), None);
}

#[test]
fn w22_the_addresses_of_one_network_of_ipv6_count_together() {
    let (failures, now) = (Failures::default(), Instant::now());
    let address = |low: u128| IpAddr::from(Ipv6Addr::from_bits(0x2a00_0001 << 96 | low));
    for low in 0..u128::from(FREE) {
        assert_eq!(failures.count(address(low), now), None);
    }
    assert!(failures.count(address(1 << 40), now).is_some());
    assert_eq!(failures.count(address(1 << 64), now), None);
}

#[test]
fn w22_a_hundred_thousand_addresses_take_the_room_of_four_thousand_and_make_place_later() {
    let (failures, now) = (Failures::default(), Instant::now());
    for number in 0..100_000 {
        failures.count(v4(number), now);
    }
    let remembered = failures.remembered();
    println!("W-22 100000 addresses failed, {remembered} are remembered");
    assert!(remembered <= MOST_ADDRESSES + 1);
    // Who is not counted alone is counted with the others.
    assert!(failures.count(v4(200_000), now).is_some());
    assert_eq!(failures.count(v4(200_001), now + WINDOW), None);
    assert_eq!(failures.remembered(), 1);
}

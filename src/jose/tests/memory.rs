//! What a refused token costs in memory and time, measured in a process where nothing else runs.

use std::hint::black_box;
use std::process::Command;

use josekit::jwe::JweCompression as _;
use josekit::jwe::zip::DEF;

use super::guard::misshapen;
use super::*;

const ALONE: &str = "TOKENKEEP_TEST_ALONE";
const MEBIBYTE: u64 = 1024 * 1024;
/// The most by which refusing may make the process grow.
const MOST: u64 = 2 * MEBIBYTE;

/// Runs a test of this file again in a process of its own and tells its line; there it is true.
fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("jose::tests::memory::{test}")])
        .arg("--nocapture")
        .env(ALONE, "1")
        .output()
        .unwrap();
    let told = [run.stdout, run.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
    assert!(run.status.success(), "{}{}", told[0], told[1]);
    let begin = told[0].find("J-1").unwrap();
    println!("{}", told[0][begin..].lines().next().unwrap());
    false
}

/// By how much `act` lifts the highest resident memory above what is resident before it.
fn growth(act: impl FnOnce()) -> u64 {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = highest();
    act();
    highest() - before
}

fn highest() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// Asserts what refusing these tokens costs, and tells it.
fn assert_cheap(id: &str, tokens: &[String]) {
    let keyring = demonstration_keys();
    assert_guarded(&keyring, &tokens[0]);
    let mut slowest = Duration::ZERO;
    let growth_of_all = growth(|| {
        for token in tokens {
            slowest = slowest.max(quickest(|| assert_guarded(&keyring, token)));
        }
    });
    let longest = tokens.iter().map(String::len).max().unwrap() / 1024;
    println!(
        "{id} {} tokens of up to {longest} KiB refused, each within {slowest:?}, memory grew by {} KiB",
        tokens.len(),
        growth_of_all / 1024
    );
    // Memory that is used shows, also where what the tokens were made of was given back before.
    let seen = growth(|| drop(black_box(vec![1_u8; 4 << 20])));
    assert!(seen > 3 * MEBIBYTE, "{seen}");
    assert!(growth_of_all < MOST, "{growth_of_all} bytes");
    assert!(slowest < Duration::from_millis(5), "{slowest:?}");
}

/// A deflate stream of zeros (RFC 1951): one literal, then copies of 258 bytes in two bits each.
fn bomb(copies: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let number = |bits: &mut Vec<bool>, value: u32, count: u32| {
        bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
    };
    let code = |bits: &mut Vec<bool>, code: &str| bits.extend(code.chars().map(|c| c == '1'));
    // The last block, with codes of its own: 286 lengths, 1 distance, 18 lengths of their lengths.
    for (value, count) in [(1, 1), (2, 2), (29, 5), (0, 5), (14, 4)] {
        number(&mut bits, value, count);
    }
    // Of the lengths of lengths only 18 (many zeros), 2 and 1 are used, in this order of places.
    for place in 0..18 {
        let length = match place {
            2 => 1,
            15 | 17 => 2,
            _ => 0,
        };
        number(&mut bits, length, 3);
    }
    let (one, two, zeros) = ("10", "11", "0");
    // The literal 0 has two bits, the end (256) two, the longest copy (285) one, distance 1 one.
    code(&mut bits, two);
    for run in [138, 117] {
        code(&mut bits, zeros);
        number(&mut bits, run - 11, 7);
    }
    code(&mut bits, two);
    code(&mut bits, zeros);
    number(&mut bits, 28 - 11, 7);
    code(&mut bits, one);
    code(&mut bits, one);
    code(&mut bits, "10");
    bits.resize(bits.len() + 2 * copies, false);
    code(&mut bits, "11");
    let byte = |bits: &[bool]| {
        bits.iter()
            .rev()
            .fold(0, |byte, bit| byte << 1 | u8::from(*bit))
    };
    bits.chunks(8).map(byte).collect()
}

#[test]
fn j10_zip_bombs_are_refused_at_once_and_without_memory() {
    if !is_alone("j10_zip_bombs_are_refused_at_once_and_without_memory") {
        return;
    }
    let inflated = DEF.decompress(&bomb(1000)).unwrap();
    assert_eq!((inflated.len(), inflated.iter().max()), (258_001, Some(&0)));
    let large = bomb((200 << 20) / 258);
    let nested = DEF.compress(&large).unwrap();
    // 200 MiB, refused for its length; as much in two layers and 40 MiB, refused for what the header says.
    let header = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","zip":"DEF"}"#;
    let bombs = [nested, bomb((40 << 20) / 258), large];
    let tokens = bombs.map(|bomb| Token::sealing(&bomb, header, &[7; 32], &[1; 12]).text());
    assert!(tokens[1].len() < 64 * 1024 && tokens[2].len() > 270_000);
    assert_cheap("J-10", &tokens);
}

#[test]
fn j13_misshapen_tokens_are_refused_without_memory() {
    if is_alone("j13_misshapen_tokens_are_refused_without_memory") {
        assert_cheap("J-13", &misshapen());
    }
}

//! Digests of numbers: whoever has the database and knows all numbers that come into question finds none of them,
//! however the digests are put together, and under the next key every digest is another one.

use std::collections::BTreeSet;

use openssl::hash::{MessageDigest, hash};
use openssl::pkey::PKey;
use openssl::sign::Signer;
use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::jose::StorageKeys;
use tokenkeep::notification::{Item, identity};
use tokenkeep::settings::Settings;
use tokenkeep::store::SEALED;

use crate::secrets_columns::{hex, told};
use crate::support::build::{CARD, NUMBER_1, NUMBER_2, refresh_with};
use crate::support::commands::with;
use crate::support::key_folder::KeyFolder;
use crate::support::sealed::{PROGRAM_TOKEN, registration, shop_with_every_secret};
use crate::support::sql::sql;
use crate::support::{Backend, START, TestDatabase};

const OLD: &str = "demo-storage";
const NEW: &str = "storage-2027";
/// What the digests of a storage key are made with is derived from it under this label.
const OF_DIGESTS: &[u8] = b"tokenkeep digests 1";

/// The digests that are kept of the keys' own making, as `KEYID:hex`.
fn kept(database: &TestDatabase) -> BTreeSet<String> {
    let columns = SEALED.iter().flat_map(|of| {
        let digests = of.digests.iter();
        digests.map(|(column, _)| (of.table, *column))
    });
    let query = |(table, column)| {
        format!("SELECT {column} AS text FROM {table} WHERE {column} IS NOT NULL")
    };
    columns
        .flat_map(|place| sql(database).texts(&query(place)))
        .collect()
}

/// What this house takes a number's digest of: an item's identity, a token's, a request's. Each as the
/// text that is stored under these keys, and the SHA-256 that it is the keyed hash of.
fn own_forms(keys: &StorageKeys, number: &str) -> Vec<(String, Vec<u8>)> {
    let wire = Settings::defaults().unwrap().notification;
    let item = Item::read(refresh_with(CARD, START - 9_000, ""), START, &wire);
    let payment: Value = json!({ "paymentToken": {
        "paymentToken": number, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    }});
    let of_item = identity(keys, &item.ok().unwrap(), Some(&payment));
    let of_token = keys.digest(&[b"token", number.as_bytes()]);
    let (path, body) = (format!("/v1/cards/{CARD}"), registration(number));
    let of_request = keys.digest(&[b"PUT", path.as_bytes(), body.to_string().as_bytes()]);
    let form = |digest: tokenkeep::jose::KeyedDigest| {
        let source = digest.source.unwrap();
        (digest.text, source.expose().to_vec())
    };
    [of_item, of_token, of_request]
        .into_iter()
        .map(form)
        .collect()
}

fn hmac(kind: MessageDigest, key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = PKey::hmac(key).unwrap();
    let mut signer = Signer::new(kind, &key).unwrap();
    signer.sign_oneshot_to_vec(text).unwrap()
}

/// The keys that somebody may try who has not got the new one.
fn known_keys(folder: &KeyFolder) -> Vec<Vec<u8>> {
    let file = std::fs::read(folder.path().join(format!("storage/{OLD}.key"))).unwrap();
    let file = file.trim_ascii().to_vec();
    let digit = |at: usize| std::str::from_utf8(&file[at..at + 2]).unwrap().to_owned();
    let raw: Vec<u8> = (0..file.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digit(at), 16).unwrap())
        .collect();
    let derived = hmac(MessageDigest::sha256(), &raw, OF_DIGESTS);
    // An empty key is the same as zeros; OpenSSL does not take one of no length.
    vec![vec![0], vec![0; 32], file, raw, derived]
}

/// Every digest, in hexadecimal, that somebody may make of this.
fn enumerated(preimage: &[u8], keys: &[Vec<u8>]) -> Vec<String> {
    let mut digests = vec![hex(preimage)];
    for kind in [
        MessageDigest::sha1(),
        MessageDigest::sha256(),
        MessageDigest::sha512(),
    ] {
        digests.push(hex(&hash(kind, preimage).unwrap()));
        let keyed = keys.iter().map(|key| hex(&hmac(kind, key, preimage)));
        digests.extend(keyed);
    }
    digests
}

/// How many digests were tried, and how many of them stand in what is told.
fn search(told: &str, numbers: &[String], keys: &[Vec<u8>], own: &StorageKeys) -> (usize, usize) {
    let (mut tried, mut found) = (0, 0);
    for number in numbers {
        let length = (number.len() as u64).to_be_bytes();
        let mut preimages = vec![
            number.as_bytes().to_vec(),
            [&length, number.as_bytes()].concat(),
        ];
        preimages.extend(own_forms(own, number).into_iter().map(|(_, source)| source));
        for preimage in &preimages {
            // The number itself is looked for by P-06.
            for digest in enumerated(preimage, keys) {
                tried += 1;
                found += usize::from(told.contains(&digest));
            }
        }
    }
    (tried, found)
}

#[rstest]
fn p08_no_stored_digest_can_be_enumerated_without_the_key_and_all_change_with_it(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let folder = KeyFolder::whole();
    let mut shop = shop_with_every_secret(backend, &folder);
    shop.app.stop();
    let database = &shop.app.database;
    let old = StorageKeys::load(folder.path()).unwrap();
    let mut numbers: Vec<String> = (0..97).map(|n| format!("54809800000{n:05}")).collect();
    numbers.extend([NUMBER_1, NUMBER_2].map(str::to_owned));
    numbers.push(format!("{PROGRAM_TOKEN}{}", CARD.len()));
    let keys = known_keys(&folder);
    let without_derived = &keys[..keys.len() - 1];

    // Under the old key what is stored is exactly what is enumerated here: else the search would prove nothing.
    let (before, digests) = (told(database), kept(database));
    let own = numbers
        .iter()
        .flat_map(|number| own_forms(&old, number))
        .map(|(text, _)| text);
    let own: BTreeSet<String> = own.filter(|text| digests.contains(text)).collect();
    assert_eq!(own.len(), 3, "an item's, a token's and a request's");
    let (tried, found) = search(&before, &numbers, without_derived, &old);
    assert_eq!(found, 0, "of {tried} without the key");
    assert!(search(&before, &numbers, &keys, &old).1 >= 3, "with it");

    folder.seal_with(NEW);
    let variables = [("TOKENKEEP_KEYS", folder.path().to_str().unwrap())];
    let resealed = with(database, &["keys", "reseal"], &variables);
    assert_eq!(resealed.code, 0, "{resealed:?}");
    let (after, renewed) = (told(database), kept(database));
    let (more, found_after) = search(&after, &numbers, &keys, &old);
    assert_eq!(found_after, 0, "of {more} under the old key");
    assert_eq!(digests.len(), renewed.len());
    let hex_of = |digest: &String| digest.split_once(':').unwrap().1.to_owned();
    let stayed = digests.iter().filter(|old| after.contains(&hex_of(old)));
    let stayed = stayed.count();
    println!(
        "P-08 {backend:?}: {} of {} digests of {} numbers found, {} of {} the same under the next key",
        found + found_after,
        tried + more,
        numbers.len(),
        stayed,
        digests.len()
    );
    assert_eq!(stayed, 0);
}

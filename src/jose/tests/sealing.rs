//! Sealing at rest.

use super::*;
use crate::jose::{DigestSource, KeyError, Place, SealError, StorageKeys, sealed_with};

const PLACE: Place<'_> = Place {
    table: "tokens",
    column: "number",
    row: "card-1",
};

fn folder_of_storage_keys(keys: &[(&str, char)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("storage")).unwrap();
    for (id, digit) in keys {
        let file = folder.path().join("storage").join(format!("{id}.key"));
        fs::write(file, digit.to_string().repeat(64) + "\n").unwrap();
    }
    folder
}

fn load(keys: &[(&str, char)]) -> StorageKeys {
    StorageKeys::load(folder_of_storage_keys(keys).path()).unwrap()
}

#[track_caller]
fn load_error(folder: &TempDir) -> String {
    StorageKeys::load(folder.path()).err().unwrap().to_string()
}

#[test]
fn what_is_sealed_opens_in_its_place_and_never_looks_the_same() {
    let keys = load(&[("k", '1')]);
    for plaintext in [&b""[..], b"5480983162311596", &[0; 70_000]] {
        let sealed = keys.seal(plaintext, &PLACE).unwrap();
        assert_eq!(*keys.open(&sealed, &PLACE).unwrap(), plaintext);
        assert_eq!(sealed.len(), plaintext.len() + 2 + 1 + 12 + 16);
        assert_ne!(sealed, keys.seal(plaintext, &PLACE).unwrap());
    }
}

#[test]
fn a_value_moved_to_another_place_does_not_open() {
    let keys = load(&[("k", '1')]);
    let sealed = keys.seal(b"5480983162311596", &PLACE).unwrap();
    for other in [
        Place {
            row: "card-2",
            ..PLACE
        },
        Place {
            column: "expiry",
            ..PLACE
        },
        Place {
            table: "cards",
            ..PLACE
        },
        Place {
            table: "token",
            column: "snumber",
            ..PLACE
        },
        Place {
            column: "numbercard",
            row: "-1",
            ..PLACE
        },
    ] {
        assert_eq!(keys.open(&sealed, &other).err(), Some(SealError::Closed));
    }
}

#[test]
fn a_value_changed_or_cut_anywhere_does_not_open() {
    let keys = load(&[("k", '1')]);
    let sealed = keys.seal(b"5480983162311596", &PLACE).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(keys.open(&changed, &PLACE).err(), Some(SealError::Closed));
        assert_eq!(
            keys.open(&sealed[..at], &PLACE).err(),
            Some(SealError::Closed)
        );
    }
    assert!(keys.open(&[&sealed[..], b"\0"].concat(), &PLACE).is_err());
}

#[test]
fn an_earlier_key_opens_and_the_last_or_the_named_one_seals() {
    let old = load(&[("a", '1')]).seal(b"old", &PLACE).unwrap();
    let folder = folder_of_storage_keys(&[("a", '1'), ("b", '2'), ("c", '3')]);
    let keys = StorageKeys::load(folder.path()).unwrap();
    assert_eq!(keys.active_id(), "c");
    assert_eq!(*keys.open(&old, &PLACE).unwrap(), b"old");
    assert_eq!(sealed_with(&old), Some("a"));
    assert_eq!(sealed_with(&keys.seal(b"", &PLACE).unwrap()), Some("c"));
    write_settings(&folder, "storage = \"b\"");
    let named = StorageKeys::load(folder.path()).unwrap();
    assert_eq!(named.active_id(), "b");
    assert_eq!(
        *named
            .open(&keys.seal(b"new", &PLACE).unwrap(), &PLACE)
            .unwrap(),
        b"new"
    );
    assert_eq!(
        load(&[("b", '2')]).open(&old, &PLACE).err(),
        Some(SealError::Closed)
    );
    assert_eq!(
        load(&[("a", '4')]).open(&old, &PLACE).err(),
        Some(SealError::Closed)
    );
}

#[test]
fn digests_depend_on_the_key_and_on_where_a_part_ends() {
    let keys = load(&[("k", '1')]);
    let text = |parts: &[&[u8]]| keys.digest(parts).text;
    let digest = text(&[b"ab", b"c"]);
    assert_eq!(digest, text(&[b"ab", b"c"]));
    assert!(digest.starts_with("k:") && digest.len() == 66);
    for other in [
        &[&b"a"[..], b"bc"][..],
        &[b"abc"],
        &[b"ab", b"c", b""],
        &[b"c", b"ab"],
        &[],
    ] {
        assert_ne!(digest, text(other));
    }
    let of_another_key = load(&[("k", '2')]).digest(&[b"ab", b"c"]).text;
    assert_ne!(digest[2..], of_another_key[2..]);
}

#[test]
fn a_digest_is_recognised_as_every_loaded_key_made_it() {
    let earlier = load(&[("a", '1')]).digest(&[b"x"]);
    let digest = load(&[("a", '1'), ("b", '2')]).digest(&[b"x"]);
    assert!(digest.text.starts_with("b:"));
    assert!(earlier.forms().all(|form| digest.is(form)));
    assert!(!earlier.is(&digest.text));
    assert!(
        !load(&[("a", '3'), ("b", '2')])
            .digest(&[b"x"])
            .is(&earlier.text)
    );
}

#[test]
fn a_digest_is_made_anew_of_its_source_alone() {
    let source = load(&[("a", '1')]).digest(&[b"x"]).source.unwrap();
    let kept = DigestSource::parse(source.expose()).unwrap();
    let keys = load(&[("b", '2')]);
    assert_eq!(keys.digest_of(kept).text, keys.digest(&[b"x"]).text);
    assert!(DigestSource::parse(&source.expose()[1..]).is_none());
}

#[test]
fn the_demonstration_storage_key_is_known_as_such() {
    let keys = StorageKeys::load(&repository("keys")).unwrap();
    assert_eq!(keys.active_id(), "demo-storage");
    assert!(keys.is_demonstration());
    assert!(!load(&[("demo-storage", '1')]).is_demonstration());
}

#[test]
fn storage_keys_that_cannot_serve_are_refused_with_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    assert!(load_error(&empty).contains("tokenkeep keys generate"));
    for content in [
        "",
        "00",
        &"0".repeat(63),
        &"g".repeat(64),
        &("0".repeat(64) + "\n\n"),
    ] {
        let folder = folder_of_storage_keys(&[]);
        fs::write(folder.path().join("storage/k.key"), content).unwrap();
        let error = load_error(&folder);
        assert!(error.contains("storage/k.key: is not 64"), "{error}");
    }
    for id in ["with space", "a:b", &"x".repeat(33)] {
        assert!(load_error(&folder_of_storage_keys(&[(id, '1')])).contains("rename it"));
    }
    let folder = folder_of_storage_keys(&[("k", '1')]);
    write_settings(&folder, "storage = \"other\"");
    let error = StorageKeys::load(folder.path()).err().unwrap();
    assert!(matches!(&error, KeyError::Missing { name, .. } if name == "other"));
    assert!(
        error.to_string().contains("there is no storage/other.key"),
        "{error}"
    );
}

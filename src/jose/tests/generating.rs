//! Making keys.

use super::*;
use crate::jose::StorageKeys;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn an_empty_folder_gets_one_key_of_each_kind_and_a_second_run_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new/keys");
    let made = make_missing(&root, None, 2048).unwrap();
    assert_eq!(
        made,
        [
            root.join("payload/payload-2026-01-31.pem"),
            root.join("storage/storage-2026-01-31.key")
        ]
    );
    for path in &made {
        assert_eq!(
            fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let parent = path.parent().unwrap();
        assert_eq!(
            fs::metadata(parent).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
    let keyring = Keyring::load(&root, OpenPolicy::default()).unwrap();
    assert!(
        keyring
            .keys()
            .all(|key| key.is_default() && key.bits() == 2048)
    );
    assert!(!StorageKeys::load(&root).unwrap().is_demonstration());
    assert_eq!(make_missing(&root, None, 2048), Ok(vec![]));
}

#[test]
fn an_existing_key_is_never_overwritten() {
    let folder = folder_of_new_keys(&["mine"]);
    let file = folder.path().join("payload/mine.pem");
    let before = fs::read(&file).unwrap();
    assert_eq!(make_missing(folder.path(), Some("mine"), 2048), Ok(vec![]));
    assert_eq!(fs::read(&file).unwrap(), before);
    let error = super::super::key_files::create(&file, b"other").unwrap_err();
    assert!(error.to_string().contains("mine.pem"));
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[test]
fn a_named_kid_is_made_beside_the_others() {
    let folder = folder_of_new_keys(&["one"]);
    let made = make_missing(folder.path(), Some("two"), 2048).unwrap();
    assert_eq!(made, [folder.path().join("payload/two.pem")]);
}

#[test]
fn a_kid_that_could_leave_the_folder_or_a_size_that_would_not_load_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for kid in [
        "",
        "../x",
        "a/b",
        ".hidden",
        "a b",
        "a\0b",
        &"k".repeat(129),
    ] {
        let refused = make_missing(folder.path(), Some(kid), 2048);
        assert!(matches!(refused, Err(KeyError::Name { .. })), "{kid:?}");
    }
    for bits in [0, 1024, 4097] {
        assert_eq!(
            make_missing(folder.path(), Some("k"), bits),
            Err(KeyError::Size { bits })
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_public_half_is_what_a_sender_encrypts_to() {
    let pem = String::from_utf8(public_pem(&demonstration_keys(), "demo-payload-2026")).unwrap();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"));
}

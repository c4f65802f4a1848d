//! Which keys are loaded, under which names, and which are not.

use super::*;
use crate::jose::{KeyError, UnknownKid, encrypt, exposed_files, named_keys};
use std::os::unix::fs::{PermissionsExt as _, symlink};

#[track_caller]
fn load_error(folder: &TempDir) -> KeyError {
    Keyring::load(folder.path(), OpenPolicy::default())
        .err()
        .unwrap()
}

fn folder_with(pem: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("payload")).unwrap();
    fs::write(folder.path().join("payload/mine.pem"), pem).unwrap();
    folder
}

#[test]
fn the_demonstration_keys_are_known_as_such_and_new_ones_are_not() {
    let keyring = demonstration_keys();
    let seen: Vec<_> = keyring
        .keys()
        .map(|key| (key.kid(), key.is_default(), key.is_retired()))
        .collect();
    assert_eq!(
        seen,
        [
            ("demo-payload-2026", true, false),
            ("demo-payload-2025", false, true)
        ]
    );
    assert!(
        keyring
            .keys()
            .all(|key| key.is_demonstration() && key.bits() == 2048)
    );
    assert_eq!(
        keyring.keys().next().unwrap().aliases,
        ["20260101000000-demo-payload-encryption"]
    );
    let new = load(&folder_of_new_keys(&["mine"]));
    assert!(
        new.keys()
            .all(|key| key.is_default() && !key.is_demonstration())
    );
}

#[test]
fn j32_every_unfit_key_is_refused_with_its_file_and_reason() {
    let unfit = [
        ("exponent-1", "exponent"),
        ("exponent-3", "exponent"),
        ("exponent-even", "exponent"),
        ("parts-do-not-match", "belong together"),
        ("modulus-not-the-product", "belong together"),
        ("roca", "ROCA"),
        ("rsa-1024", "modulus"),
        ("rsa-4104", "modulus"),
        ("elliptic-curve", "not an RSA key"),
        ("passphrase", "passphrase"),
        ("truncated", "not one RSA private key"),
        ("with-certificate", "not one RSA private key"),
        ("public-only", "not one RSA private key"),
        ("garbage", "not one RSA private key"),
    ];
    for (name, reason) in unfit {
        let file = repository("tests/data/jose/refused-keys")
            .join(name)
            .with_extension("pem");
        let pem = fs::read(file).unwrap();
        let message = load_error(&folder_with(&pem)).to_string();
        assert!(
            message.contains("payload/mine.pem: ") && message.contains(reason),
            "{name}: {message}"
        );
        // Nothing of the key itself: not even one line of its base64.
        let lines = String::from_utf8(pem).unwrap();
        assert!(
            lines
                .lines()
                .filter(|line| line.len() > 20)
                .all(|line| !message.contains(line))
        );
    }
    println!(
        "J-32 {} unfit keys refused, each with file and reason",
        unfit.len()
    );
}

#[test]
fn j32_a_large_file_a_folder_and_a_link_out_of_the_key_folder_are_refused() {
    let large = load_error(&folder_with(&vec![b'A'; 10 * 1024 * 1024]));
    assert!(large.to_string().contains("larger than 64 KiB"), "{large}");
    let folder = folder_with(b"");
    fs::remove_file(folder.path().join("payload/mine.pem")).unwrap();
    symlink(
        repository("keys/payload/demo-payload-2026.pem"),
        folder.path().join("payload/mine.pem"),
    )
    .unwrap();
    assert!(
        load_error(&folder)
            .to_string()
            .contains("link out of the key folder")
    );
    fs::remove_file(folder.path().join("payload/mine.pem")).unwrap();
    fs::create_dir(folder.path().join("payload/mine.pem")).unwrap();
    assert!(load_error(&folder).to_string().contains("is not a file"));
    println!("J-32 a file of 10 MB, a link out of the folder and a folder refused");
}

#[test]
fn a_link_within_the_key_folder_is_followed() {
    let folder = folder_of_new_keys(&["first"]);
    fs::create_dir(folder.path().join("mounted")).unwrap();
    fs::rename(
        folder.path().join("payload/first.pem"),
        folder.path().join("mounted/data"),
    )
    .unwrap();
    symlink("../mounted/data", folder.path().join("payload/first.pem")).unwrap();
    assert_eq!(load(&folder).keys().count(), 1);
}

#[test]
fn j32_files_that_others_may_write_or_the_world_may_read_are_found() {
    let folder = folder_of_new_keys(&["mine"]);
    assert_eq!(exposed_files(folder.path(), &[]).unwrap(), []);
    let file = folder.path().join("payload/mine.pem");
    let modes = [
        (0o640, false),
        (0o644, true),
        (0o660, true),
        (0o602, true),
        (0o400, false),
    ];
    for (mode, is_exposed) in modes {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            exposed_files(folder.path(), &[])
                .unwrap()
                .iter()
                .any(|exposed| exposed.path == file),
            is_exposed,
            "{mode:o}"
        );
    }
    let exposed = modes.iter().filter(|(_, is_exposed)| *is_exposed).count();
    println!("J-32 {exposed} of {} file modes found exposed", modes.len());
}

#[test]
fn j16_one_key_in_two_files_is_refused() {
    let folder = folder_of_new_keys(&["first"]);
    fs::copy(
        folder.path().join("payload/first.pem"),
        folder.path().join("payload/second.pem"),
    )
    .unwrap();
    assert!(matches!(load_error(&folder), KeyError::Ambiguous { .. }));
    println!("J-16 one key in two files refused");
}

#[test]
fn settings_that_contradict_the_keys_are_refused() {
    let folder = folder_of_new_keys(&["one", "two"]);
    for (text, message) in [
        (
            "default = \"three\"",
            "default names \"three\", but there is no payload/three.pem",
        ),
        ("retired = [\"three\"]", "retired names \"three\""),
        ("[aliases]\nx = \"three\"", "an alias names \"three\""),
        ("[aliases]\none = \"two\"", "both answer to \"one\""),
        (
            "default = \"one\"\nretired = [\"one\"]",
            "default and retired at once",
        ),
        ("default = \"one\"\nretried = []", "keys.toml: line 2 "),
        ("[aliases]\nx = \"one\"\nx = \"two\"", "keys.toml: line 3 "),
        ("default = 1", "keys.toml: line 1 "),
        ("-----BEGIN SECRET", "keys.toml: line 1 "),
    ] {
        write_settings(&folder, text);
        let error = load_error(&folder).to_string();
        assert!(error.contains(message), "{error}");
        assert!(!error.contains("SECRET"));
    }
}

#[test]
fn two_keys_and_no_settings_mean_no_default() {
    let keyring = load(&folder_of_new_keys(&["one", "two"]));
    assert!(keyring.keys().all(|key| !key.is_default()));
}

#[test]
fn p11_every_name_of_a_key_tells_which_key_it_names() {
    let folder = folder_of_new_keys(&["one", "two"]);
    let named = |text: &str| -> Vec<(String, String)> {
        write_settings(&folder, text);
        let names = named_keys(&load(&folder).descriptions());
        names
            .into_iter()
            .map(|key| (key.kid, key.fingerprint))
            .collect()
    };
    let [one, two] = ["one", "two"].map(|kid| {
        let keyring = load(&folder);
        let key = keyring.keys().find(|key| key.kid() == kid);
        (kid.to_owned(), key.unwrap().spki_sha256_hex())
    });
    let alias = |of: &(String, String)| ("alias".to_owned(), of.1.clone());
    assert_eq!(
        named("[aliases]\nalias = \"one\"\n"),
        [one.clone(), two.clone(), alias(&one)]
    );
    assert_eq!(
        named("[aliases]\nalias = \"two\"\n"),
        [one, two.clone(), alias(&two)]
    );
}

#[test]
fn a_name_nobody_knows_tries_active_keys_only_where_that_is_allowed() {
    let folder = folder_of_new_keys(&["a", "b", "c", "d", "e", "old"]);
    write_settings(&folder, "default = \"e\"\nretired = [\"old\"]\n");
    let try_all = OpenPolicy {
        unknown_kid: UnknownKid::TryAll,
        ..OpenPolicy::default()
    };
    for (policy, opened, operations) in [
        (OpenPolicy::default(), "", [0; 6]),
        // The default key first, then the others by their kids, four in all at most.
        (try_all, "eabc", [1, 2, 3, 4, 4, 4]),
    ] {
        for (kid, operations) in ["e", "a", "b", "c", "d", "old"].iter().zip(operations) {
            let keyring = Keyring::load(folder.path(), policy.clone()).unwrap();
            let pem = public_pem(&keyring, kid);
            let token = encrypt(PLAINTEXT, &pem, Some("nobody"), "A128GCM", 12).unwrap();
            let expected = match opened.contains(kid) {
                true => Ok(PLAINTEXT.to_vec()),
                false => Err(OpenError::UnknownKey),
            };
            let outcome = keyring.open(&token, None).map(|plain| plain.to_vec());
            assert_eq!(outcome, expected, "{kid}");
            assert_eq!(keyring.private_operations(), operations, "{kid}");
        }
    }
}

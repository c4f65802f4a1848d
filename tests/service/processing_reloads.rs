//! The key folder changes while the service runs: only better keys are taken, never worse ones.

use std::time::{Duration, Instant};

use rstest::rstest;
use tokenkeep::jose::KeyFolder as Watched;
use tokenkeep::jose::{KeyError, Keyring, OpenPolicy, Reload};

use crate::support::audit::records;
use crate::support::build::{CARD, KID, NUMBER_1, NUMBER_2, plain, refresh, refresh_with};
use crate::support::key_folder::{KeyFolder, LateKey};
use crate::support::{Backend, START, wait_until};

/// The folder as the processor follows it, looked at whenever asked.
fn watched(keys: &KeyFolder) -> Watched {
    Watched::load(
        keys.path().to_owned(),
        OpenPolicy::default(),
        Some(Duration::ZERO),
    )
    .unwrap()
}

/// A look at the folder, where every key is admitted.
fn look(watched: &mut Watched) -> Reload {
    watched.reload_if_changed(|_, _| Ok(Ok(())))
}

fn opens(watched: &Watched, token: &str) -> bool {
    watched.keyring().open(token, None).is_ok()
}

fn demonstration_token() -> String {
    crate::support::build::payment_jwe(NUMBER_1, ("12", "2031"))
}

#[test]
fn a_new_key_file_is_taken_and_an_unchanged_folder_is_not_read_again() {
    let keys = KeyFolder::copy();
    let late = LateKey::new("payload-2027");
    let mut watched = watched(&keys);
    assert_ne!(look(&mut watched), Reload::Loaded);
    keys.put(late.kid, &late.pem);
    let token = late.payment_jwe(NUMBER_1, ("12", "2031"));
    assert!(!opens(&watched, &token));
    assert_eq!(look(&mut watched), Reload::Loaded);
    assert!(opens(&watched, &token) && opens(&watched, &demonstration_token()));
    assert_ne!(look(&mut watched), Reload::Loaded);
}

#[test]
fn keys_that_are_not_admitted_are_asked_for_again_until_they_are() {
    let keys = KeyFolder::copy();
    let late = LateKey::new("payload-2027");
    let mut watched = watched(&keys);
    keys.put(late.kid, &late.pem);
    let token = late.payment_jwe(NUMBER_1, ("12", "2031"));
    let mut asked = Vec::new();
    let unknown = || Err("nobody can be asked".to_owned());
    let fault = KeyError::NoStorageKey {
        folder: "of some kind".into(),
    };
    for answer in [unknown(), Ok(Err(fault.clone())), Ok(Err(fault)), unknown()] {
        let admit = |_: &Keyring, is_first| {
            asked.push(is_first);
            answer
        };
        assert_eq!(watched.reload_if_changed(admit), Reload::NotAdmitted);
        assert!(!opens(&watched, &token) && opens(&watched, &demonstration_token()));
    }
    // Who could not be asked is asked as if for the first time.
    assert_eq!(asked, [true, true, false, false]);
    assert_eq!(look(&mut watched), Reload::Loaded);
    assert!(opens(&watched, &token));
    assert_eq!(look(&mut watched), Reload::Unchanged);
}

#[test]
fn a_folder_that_lost_all_its_keys_leaves_those_in_use() {
    let keys = KeyFolder::copy();
    let mut watched = watched(&keys);
    for kid in ["demo-payload-2025", KID] {
        keys.remove(kid);
    }
    // keys.toml still names them.
    assert_ne!(look(&mut watched), Reload::Loaded);
    std::fs::write(keys.path().join("keys.toml"), "").unwrap();
    assert_ne!(look(&mut watched), Reload::Loaded);
    assert!(opens(&watched, &demonstration_token()));
}

#[test]
fn a_key_file_that_could_not_be_used_is_tried_again_though_its_size_and_time_are_the_same() {
    let keys = KeyFolder::copy();
    let late = LateKey::new("payload-2027");
    let mut watched = watched(&keys);
    // As where a file may not be read until somebody gives it to the service (chown, chmod).
    let path = keys.path().join("payload/payload-2027.pem");
    let write = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    write(&vec![b'-'; late.pem.len()]);
    assert_ne!(look(&mut watched), Reload::Loaded);
    write(&late.pem);
    assert_eq!(look(&mut watched), Reload::Loaded);
    assert!(opens(&watched, &late.payment_jwe(NUMBER_1, ("12", "2031"))));
}

#[test]
fn zero_seconds_between_two_looks_mean_that_the_folder_is_never_looked_at_again() {
    let keys = KeyFolder::copy();
    let late = LateKey::new("payload-2027");
    let mut never = Watched::load(keys.path().to_owned(), OpenPolicy::default(), None).unwrap();
    keys.put(late.kid, &late.pem);
    assert_ne!(look(&mut never), Reload::Loaded);
}

#[rstest]
fn j33_a_broken_new_key_file_leaves_the_old_keys_working_and_the_service_ready(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let keys = KeyFolder::copy();
    let late = LateKey::new("payload-2027");
    let app = keys.spawn(backend);
    let held = late.payment_jwe(NUMBER_1, ("12", "2031"));
    app.deliver(&plain(&[refresh_with(CARD, START - 1_000, &held)]));
    keys.put("broken", b"-----BEGIN PRIVATE KEY-----\nnot a key\n");
    keys.put(late.kid, &late.pem);
    // Long enough for two looks at the folder.
    let until = Instant::now() + Duration::from_millis(2_500);
    let mut count = 0;
    while Instant::now() < until {
        count += 1;
        let card = format!("card-{count}");
        app.deliver(&plain(&[refresh(
            &card,
            START - 1_000,
            NUMBER_2,
            ("12", "2031"),
        )]));
        assert_eq!(app.verdicts(&card), ["applied"]);
        assert_eq!(app.get("/readyz").status, 200);
    }
    assert_eq!(app.verdicts(CARD), ["quarantined(unknown-key)"]);
    let told = records(app.store());
    assert!(told.iter().any(|record| record.act == "keys.refuse"));
    keys.remove("broken");
    wait_until("the good new key is taken", || {
        app.verdicts(CARD) == ["applied"]
    });
    println!("J-33 {count} of {count} applied beside a broken key file");
}

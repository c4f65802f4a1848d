//! D-30: a copy under load is what stood at one moment, and everything in it is whole.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokenkeep::jose::StorageKeys;
use tokenkeep::sandbox::Operation::Checkout;
use tokenkeep::settings::Settings;
use tokenkeep::store::{DatabaseUrl, Store};

use crate::support::audit::Watch;
use crate::support::build::{NUMBER_1, plain, refresh, status};
use crate::support::calls::Shop;
use crate::support::commands::{Output, tokenkeep, with};
use crate::support::rebuilt::assert_rebuilt;
use crate::support::serve::Serve;
use crate::support::{App, Backend, Client, START, SetOnDrop, TestDatabase};
use crate::support::{is_full, keys, wait_until};

/// What a command says of a copy.
fn of_copy(copy: &str, arguments: &[&str]) -> Output {
    let any = TestDatabase::new(Backend::Sqlite);
    with(&any, arguments, &[("DATABASE_URL", copy)])
}

/// Sends cards until told to stop, each in a delivery of its own.
fn load(url: &str, answered: &AtomicUsize, stop: &AtomicBool) {
    let client = Client::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let card = format!("card-{number}");
        let element = match number % 5 {
            0 => refresh(&card, START, NUMBER_1, ("12", "2031")),
            _ => status(&card, Some(START), "ACTIVE"),
        };
        let answer = client.post(url, &plain(&[element]).to_string());
        assert_eq!(answer.status, 204, "{}", answer.text);
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// A copy is whole, and holds what was answered before it began, and nothing that came after it.
fn is_of_one_moment(copy: &str, before: usize, after: usize) {
    let mode = std::fs::metadata(copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let verified = of_copy(copy, &["audit", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let rebuilt = of_copy(copy, &["rebuild", "--check", "--json"]).json();
    assert_eq!(rebuilt["differences"], Value::Array(Vec::new()));
    let keys = StorageKeys::load(&keys()).unwrap().into();
    let store = Store::open(&DatabaseUrl::parse(copy).unwrap(), keys).unwrap();
    let cards = assert_rebuilt(&store, Settings::defaults().unwrap().policy());
    let waiting = store.read(|tx| tx.count_waiting()).unwrap();
    let kept = cards + usize::try_from(waiting).unwrap();
    assert!(
        (before..=after + 1).contains(&kept),
        "{before} {kept} {after}"
    );
}

#[test]
fn d30_copies_under_load_are_what_stood_at_one_moment() {
    let (copies, pause) = match is_full() {
        true => (20, Duration::from_secs(5)),
        false => (4, Duration::from_millis(500)),
    };
    let database = TestDatabase::new(Backend::Sqlite);
    let serve = Serve::start(&database);
    let folder = tempfile::tempdir().unwrap();
    let (answered, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let so_far = || answered.load(Ordering::SeqCst);
    let mut made = Vec::new();
    std::thread::scope(|scope| {
        let _stop = SetOnDrop(&stop);
        scope.spawn(|| load(&serve.url, &answered, &stop));
        for number in 0..copies {
            let enough = so_far() + 20;
            wait_until("deliveries come", || so_far() > enough);
            let before = so_far();
            let copy = folder.path().join(format!("copy-{number}.db"));
            let copy = copy.to_str().unwrap().to_owned();
            let output = tokenkeep(&database, &["backup", &copy, "--json"]);
            assert_eq!(output.code, 0, "{output:?}");
            made.push((copy, before, so_far()));
            std::thread::sleep(pause);
        }
    });
    for (copy, before, after) in &made {
        is_of_one_moment(copy, *before, *after);
    }
    let (whole, sent) = (made.len(), so_far());
    println!("D-30 SQLite: {whole}/{copies} copies whole under load, {sent} deliveries sent");
}

#[test]
fn a_copy_is_its_owners_alone_recorded_and_never_in_the_place_of_another_file() {
    let app = App::spawn(Backend::Sqlite);
    app.deliver(&plain(&[status("one", Some(START), "ACTIVE")]));
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    let copy = copy.to_str().unwrap();
    let mut watch = Watch::begin(&app.database);
    let made = tokenkeep(&app.database, &["backup", copy]);
    assert_eq!(made.code, 0, "{made:?}");
    assert!(made.stdout.contains("found whole"), "{made:?}");
    let records = watch.new_records();
    let record = (&*records[0].act, &*records[0].object);
    assert_eq!((records.len(), record), (1, ("backup", "copy.db")));
    let before = std::fs::read(copy).unwrap();
    assert_eq!(tokenkeep(&app.database, &["backup", copy]).code, 2);
    assert_eq!(std::fs::read(copy).unwrap(), before);
    let nowhere = tokenkeep(&app.database, &["backup", "/nowhere/copy.db"]);
    assert_eq!(nowhere.code, 1, "{nowhere:?}");
    // Nothing else is left in the folder.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(watch.new_records().is_empty());
}

#[test]
fn of_postgresql_the_command_of_its_own_tools_is_told_without_a_password() {
    let app = App::spawn(Backend::Postgres);
    let joint = if app.database.url().contains('?') {
        '&'
    } else {
        '?'
    };
    let url = format!("{}{joint}password=hunter2", app.database.url());
    let told = with(
        &app.database,
        &["backup", "copy.dump"],
        &[("DATABASE_URL", &url)],
    );
    assert_eq!(told.code, 2, "{told:?}");
    let command = "pg_dump --format=custom --file=copy.dump postgres";
    assert!(told.stderr.contains(command), "{told:?}");
    assert!(!told.stderr.contains("hunter2"), "{told:?}");
}

#[test]
fn a_cryptogram_that_was_handed_out_after_the_copy_is_not_in_what_is_restored() {
    let mut shop = Shop::open(Backend::Sqlite);
    shop.card_with_cryptogram("paid");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db").to_string_lossy().into_owned();
    let made = tokenkeep(&shop.app.database, &["backup", &copy]);
    assert_eq!(made.code, 0, "{made:?}");
    let single = json!({ "use": "single" });
    let handed_out = |shop: &Shop| {
        let credentials = shop.credentials("paid", &single);
        assert_eq!(credentials.status, 200, "{}", credentials.body);
        credentials.json()["cryptogram"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let before = handed_out(&shop);
    assert_eq!(shop.calls(Checkout, "paid"), 1, "the kept one");
    shop.app.stop();
    shop.app.settings.database_url = copy;
    shop.app.start();
    assert_ne!(handed_out(&shop), before);
    assert_eq!(shop.calls(Checkout, "paid"), 2);
    shop.app.assert_rebuilt();
}

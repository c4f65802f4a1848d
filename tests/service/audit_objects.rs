//! P-16: the audit says what an act was done to, and keeps no number that somebody took for an id.

use rstest::rstest;
use tokenkeep::api::access::AccessRole;

use crate::support::audit::{Watch, contains};
use crate::support::build::CARD;
use crate::support::commands::tokenkeep;
use crate::support::{App, Backend};

/// A number whose check digit fits.
const NUMBER: &str = "5480983162311596";

#[rstest]
fn p16_of_a_number_that_was_taken_for_an_id_no_more_than_the_last_four_is_recorded(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let mut app = App::spawn(backend);
    let ops = app.new_key(AccessRole::Ops, "operator");
    let mut watch = Watch::begin(&app.database);
    let mut object = |method: &str, path: &str| {
        let status = app.send(method, path, &ops, "").status;
        assert!((400..500).contains(&status), "{method} {path}: {status}");
        let mut new = watch.new_records();
        assert_eq!(new.len(), 1, "{method} {path}");
        new.remove(0).object
    };
    // Mastercard's own ids hold a long run of zeros.
    let path = format!("/v1/cards/{CARD}");
    assert_eq!(object("GET", &path), path);
    let path = format!("/v1/cards/{NUMBER}");
    let deleted = object("DELETE", &path);
    assert!(deleted.starts_with("************1596 ("), "{deleted}");
    assert_eq!(object("DELETE", &path), deleted, "known as the same");
    let written = [
        path,
        "/v1/cards/5480%209831%206231%201596".to_owned(),
        "/v1/cards/%35%34%38%30983162311596".to_owned(),
        format!("/v1/notifications/019abc12-3456-7abc-8def-0123456789ab.{NUMBER}"),
    ];
    for path in &written {
        let read = object("GET", path);
        assert!(read.contains("1596 (") && !read.contains("5480"), "{read}");
    }
    let shown = tokenkeep(&app.database, &["cards", "show", NUMBER]);
    assert_eq!(shown.code, 1, "{shown:?}");
    let object = watch.new_records().remove(0).object;
    assert!(object.starts_with("cards/************1596 ("), "{object}");
    // Whoever knows it finds what was done to it.
    let list = ["audit", "list", "--object", NUMBER, "--json"];
    let listed = tokenkeep(&app.database, &list).json();
    assert_eq!(listed["records"].as_array().unwrap().len(), 2);
    app.stop();
    assert!(!contains(&app.database.bytes(), NUMBER));
    println!(
        "P-16 {} numbers taken for ids, 0 recorded",
        written.len() + 2
    );
}

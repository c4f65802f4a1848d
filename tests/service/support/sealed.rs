//! Values in every sealed column, and a look at them from outside.

use serde_json::{Value, json};
use tokenkeep::domain::{CardId, ProgramToken};
use tokenkeep::jose::{Place, StorageKeys};
use tokenkeep::store::{SEALED, SealedColumn};

use super::api::Ask;
use super::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh};
use super::calls::Shop;
use super::key_folder::KeyFolder;
use super::sql::sql;
use super::{Backend, START, TestDatabase};
use tokenkeep::api::access::AccessRole;

pub const OTHER: &str = "another-card";
/// A token of a program whose cards have tokens of their own.
pub const PROGRAM_TOKEN: &str = "5480980000000033";

/// A merchant who holds two of every secret.
pub fn shop_with_every_secret(backend: Backend, keys: &KeyFolder) -> Shop {
    let shop = Shop::open_with(backend, &json!({}), |settings| {
        settings.keys = keys.path().to_owned();
    });
    let app = &shop.app;
    let key = app.new_key(AccessRole::App, "secrets");
    // First, because the calls of the others wait for their program.
    for card in ["shop-1", "shop-2"] {
        shop.card_with_cryptogram(card);
    }
    for (card, number, other) in [(CARD, NUMBER_1, NUMBER_2), (OTHER, NUMBER_2, NUMBER_1)] {
        let registered = app.ask(&Ask {
            method: "PUT",
            path: &format!("/v1/cards/{card}"),
            key: &key,
            headers: &[&format!("Idempotency-Key: of-{card}")],
            body: &registration(other).to_string(),
        });
        assert_eq!(registered.status, 201, "{}", registered.body);
        app.deliver(&plain(&[refresh(
            card,
            START - 9_000,
            number,
            ("12", "2031"),
        )]));
        let token = ProgramToken::parse(&format!("{PROGRAM_TOKEN}{}", card.len())).unwrap();
        let id = CardId::parse(card).unwrap();
        let kept = app.store().write(|tx| {
            let known = tx.known_token(&token)?;
            tx.keep_token(&id, &known, &token)
        });
        kept.unwrap();
    }
    for column in &SEALED {
        let values = values(&app.database, column);
        assert!(values.len() > 1, "{}.{}", column.table, column.column);
    }
    shop
}

/// A registration with a number.
pub fn registration(number: &str) -> Value {
    json!({ "token": {
        "paymentToken": number, "tokenExpirationMonth": "12", "tokenExpirationYear": "2031",
    }})
}

/// The values of a sealed column, each with what it is bound to.
pub fn values(database: &TestDatabase, of: &SealedColumn) -> Vec<(String, Vec<u8>)> {
    let SealedColumn {
        table,
        column,
        row,
        bound_to,
        ..
    } = of;
    let shown = match database {
        TestDatabase::Sqlite { .. } => format!("hex({column})"),
        TestDatabase::Postgres { .. } => format!("encode({column}, 'hex')"),
    };
    let query = format!(
        "SELECT {bound_to} || ' ' || {shown} AS text FROM {table} WHERE {column} IS NOT NULL ORDER BY {row}"
    );
    let read = |text: String| {
        let (row, hex) = text.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (
            row.to_owned(),
            (0..hex.len()).step_by(2).map(byte).collect(),
        )
    };
    sql(database).texts(&query).into_iter().map(read).collect()
}

/// Where a value of this column stands.
pub fn place<'a>(of: &SealedColumn, row: &'a str) -> Place<'a> {
    Place {
        table: of.table,
        column: of.column,
        row,
    }
}

/// How many values these keys do not open, of how many.
pub fn unreadable(database: &TestDatabase, keys: &StorageKeys) -> (usize, usize) {
    let mut counts = (0, 0);
    for column in &SEALED {
        for (row, sealed) in values(database, column) {
            counts.1 += 1;
            counts.0 += usize::from(keys.open(&sealed, &place(column, &row)).is_err());
        }
    }
    counts
}

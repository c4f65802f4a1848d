//! What a payload holds once it is opened.

use tokenkeep::domain::WireForm;
use tokenkeep::jose::json::{canonical, parse};
use tokenkeep::notification::{Item, elements, payment_data, payment_json};

use super::NOW;

pub fn check(plaintext: &[u8]) {
    let Ok(value) = parse(plaintext) else {
        return;
    };
    assert_eq!(parse(&canonical(&value)).as_ref(), Ok(&value));
    if let Some(data) = payment_data(&value) {
        let number = data.number.expose();
        assert!((12..=19).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()));
        let stored = payment_json(&data);
        let read = payment_data(&parse(&stored).unwrap()).unwrap();
        assert_eq!(read.number.expose(), number);
        assert_eq!(read.expiry, data.expiry);
    }
    let wire = WireForm::default();
    if let Some(opened) = elements(value, NOW, &wire) {
        for element in opened.list {
            drop(Item::read(element, NOW, &wire));
        }
    }
}

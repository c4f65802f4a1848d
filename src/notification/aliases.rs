//! The further names that fields may come under.

use serde_json::{Map, Value};

use crate::domain::WireForm;

/// Puts every field where it is documented to stand, so that all that follows knows one name: the
/// documented one goes first, then the others in their order. A null counts as absent.
pub(super) fn under_documented_names(fields: &mut Map<String, Value>, wire: &WireForm) {
    for (name, aliases) in &wire.aliases {
        for alias in aliases {
            let Some(value) = fields.remove(alias) else {
                continue;
            };
            if !value.is_null() && fields.get(name).is_none_or(Value::is_null) {
                fields.insert(name.clone(), value);
            }
        }
    }
}

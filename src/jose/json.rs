//! Strict JSON, for request bodies, JOSE headers and decrypted plaintext alike.
//!
//! Two readers of one text must see the same thing, so a name may stand only once in an object.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use zeroize::Zeroizing;

/// Deepest nesting of arrays and objects that is read.
pub const MAX_DEPTH: usize = 64;

/// Why a text is not accepted. Nothing of the text is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not JSON, not UTF-8, or followed by something else. Both numbers count from 1; column 0 is a line's start.
    #[error("not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    /// An object holds the same name twice, however each is spelled.
    #[error("an object holds the same name twice")]
    DuplicateKey,
    /// Arrays and objects are nested deeper than [`MAX_DEPTH`].
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Reads one JSON text that fills `bytes`.
///
/// # Errors
/// See [`JsonFault`].
pub fn parse(bytes: &[u8]) -> Result<Value, JsonFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let fault = Cell::new(None);
    let mut input = serde_json::Deserializer::from_str(text);
    let reader = Reader {
        depth: 0,
        fault: &fault,
    };
    reader
        .deserialize(&mut input)
        .and_then(|value| input.end().map(|()| value))
        .map_err(|error| {
            fault.get().unwrap_or(JsonFault::NotJson {
                line: error.line(),
                column: error.column(),
            })
        })
}

/// The text of `value` with the names of every object in byte order and no white space.
pub fn canonical(value: &Value) -> Zeroizing<Vec<u8>> {
    // Measured first: a buffer that grows leaves copies of the plaintext behind.
    let mut length = 0;
    write_canonical(value, &mut |piece| length += piece.len());
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    write_canonical(value, &mut |piece| text.extend_from_slice(piece.as_bytes()));
    text
}

// Sorted here, as josekit switches serde_json's maps to insertion order for the whole program.
fn write_canonical(value: &Value, emit: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            for (place, (name, member)) in members.into_iter().enumerate() {
                emit(if place == 0 { "{" } else { "," });
                write_text(name, emit);
                emit(":");
                write_canonical(member, emit);
            }
            emit(if map.is_empty() { "{}" } else { "}" });
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                emit(if place == 0 { "[" } else { "," });
                write_canonical(item, emit);
            }
            emit(if items.is_empty() { "[]" } else { "]" });
        }
        Value::String(text) => write_text(text, emit),
        Value::Number(number) => emit(&number.to_string()),
        Value::Bool(true) => emit("true"),
        Value::Bool(false) => emit("false"),
        Value::Null => emit("null"),
    }
}

fn write_text(text: &str, emit: &mut dyn FnMut(&str)) {
    emit("\"");
    for c in text.chars() {
        match c {
            '"' => emit("\\\""),
            '\\' => emit("\\\\"),
            c if c < ' ' => emit(&format!("\\u{:04x}", u32::from(c))),
            c => emit(c.encode_utf8(&mut [0; 4])),
        }
    }
    emit("\"");
}

fn not_utf8(bytes: &[u8], valid: usize) -> JsonFault {
    let before = bytes.get(..valid).unwrap_or_default();
    let line_start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    JsonFault::NotJson {
        line: before.iter().filter(|b| **b == b'\n').count() + 1,
        column: valid - line_start + 1,
    }
}

/// Reads a value at one depth; what it refuses is put into `fault`, as serde can carry only a message.
#[derive(Clone, Copy)]
struct Reader<'a> {
    depth: usize,
    fault: &'a Cell<Option<JsonFault>>,
}

impl Reader<'_> {
    fn refuse<E: serde::de::Error>(self, fault: JsonFault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.refuse(JsonFault::TooDeep));
        }
        Ok(Reader {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("refused"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(self.refuse(JsonFault::DuplicateKey));
            }
            map.insert(name, members.next_value_seed(inner)?);
        }
        Ok(Value::Object(map))
    }
}

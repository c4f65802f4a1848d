//! Request bodies, held against the property that the tests hold generated ones against.

#![no_main]
#![allow(dead_code, reason = "each target has one property of all")]

#[path = "../../tests/properties/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::body::check(bytes));

//! None of these may compile.

use tokenkeep::jose::PayloadKey as Secret;

fn is_debug<T: std::fmt::Debug>() {}
fn is_display<T: std::fmt::Display>() {}
fn is_serialize<T: serde::Serialize>() {}

fn main() {
    is_debug::<Secret>();
    is_display::<Secret>();
    is_serialize::<Secret>();
}

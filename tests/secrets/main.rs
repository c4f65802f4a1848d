//! What the compiler refuses, and what the repository must not hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail where it stands"
)]

#[allow(dead_code, reason = "the search of what the tests told uses the rest")]
#[path = "../leaks/canaries.rs"]
mod canaries;
#[allow(dead_code, reason = "the search of what the tests told uses the rest")]
#[path = "../leaks/numbers.rs"]
mod numbers;
mod repository;

/// Does not compile if the type has one of these traits: the item would then be one of two.
macro_rules! assert_has_none_of {
    ($type:ty: $($trait:path),+) => {
        $(const _: fn() = || {
            trait Ambiguous<A> {
                fn item() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            struct HasIt;
            impl<T: ?Sized + $trait> Ambiguous<HasIt> for T {}
            let _ = <$type as Ambiguous<_>>::item;
        };)+
    };
}

/// Each of these is refused by the compiler as `Debug`, as `Display` and as `Serialize`.
macro_rules! secrets {
    ($($type:ty),+ $(,)?) => {
        $(assert_has_none_of!($type: std::fmt::Debug, std::fmt::Display, serde::Serialize);)+
        const SECRETS: &[&str] = &[$(stringify!($type)),+];
    };
}

secrets!(
    tokenkeep::domain::TokenNumber,
    tokenkeep::domain::Cryptogram,
    tokenkeep::domain::ProgramToken,
    tokenkeep::jose::PayloadKey,
    tokenkeep::jose::StorageKeys,
    tokenkeep::jose::JwsSigner,
    tokenkeep::jose::Keyring,
    tokenkeep::jose::DigestSource,
    tokenkeep::jose::KeyedDigest,
);

#[test]
fn p05_secrets_can_be_neither_printed_nor_serialised() {
    // That this file compiles is the proof.
    let count = SECRETS.len();
    println!("P-05 {count}/{count} types have neither Debug nor Display nor Serialize");
}

//! Project Wycheproof's signatures, as the verifier of Checkout's answers takes them.

use crate::jose::tests::wycheproof::believed;
use crate::mastercard::checkout::ALGS;

#[test]
fn j29_checkout_believes_ten_signatures_of_the_401_and_two_of_the_49() {
    let mut counts = Vec::new();
    for (file, tests, expected) in [
        (
            "json_web_signature_test.json",
            401,
            vec![18, 33, 259, 260, 261, 262, 263, 345, 349, 378],
        ),
        ("json_web_crypto_test.json", 83, vec![18, 33]),
    ] {
        let Some((believed, _)) = believed("J-29", file, tests) else {
            return;
        };
        let taken = believed.iter().filter(|(_, alg)| ALGS.contains(alg));
        let taken: Vec<u64> = taken.map(|(id, _)| *id).collect();
        assert_eq!(taken, expected);
        counts.push((taken.len(), file));
    }
    println!("J-29 Checkout believes {counts:?}");
}

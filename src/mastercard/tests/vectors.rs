//! Project Wycheproof's signatures, as the verifier of Checkout's answers takes them.

use crate::jose::tests::wycheproof::believed;
use crate::mastercard::checkout::ALGS;

#[test]
fn j29_checkout_believes_ten_signatures_of_the_401_and_two_of_the_49() {
    for (file, tests, expected) in [
        (
            "json_web_signature_test.json",
            401,
            vec![18, 33, 259, 260, 261, 262, 263, 345, 349, 378],
        ),
        ("json_web_crypto_test.json", 83, vec![18, 33]),
    ] {
        let Some((believed, _)) = believed(file, tests) else {
            return;
        };
        let taken = believed.iter().filter(|(_, alg)| ALGS.contains(alg));
        let taken: Vec<u64> = taken.map(|(id, _)| *id).collect();
        println!("J-29 Checkout, {file}: {} believed", taken.len());
        assert_eq!(taken, expected);
    }
}

//! Bytes as lower-case hexadecimal digits and back.

/// Two digits a byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    // Sized beforehand, so that a secret is written in one place only.
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    text
}

/// Exactly 32 bytes from exactly 64 digits of either case.
pub(crate) fn decode_32(text: &[u8]) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        for digit in pair {
            let nibble = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(nibble).ok()?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_bytes_survive_the_way_there_and_back() {
        let bytes: [u8; 32] = std::array::from_fn(|place| (place * 37) as u8);
        assert_eq!(decode_32(encode(&bytes).as_bytes()), Some(bytes));
        assert_eq!(encode(&[0x00, 0xaf, 0x5]), "00af05");
    }

    #[test]
    fn anything_but_64_hexadecimal_digits_is_refused() {
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            assert_eq!(decode_32(text.as_bytes()), None);
        }
    }
}

"""Makes the tokens and the bad keys beside this file.

    pip install mastercard-client-encryption cryptography
    python make_vectors.py

Tokens are encrypted to the demonstration keys of the repository. mastercard-*.jwe come from Mastercard's own library,
the others are put together here from the standards. Each run makes new ones: the content stays, the bytes do not.
"""

import base64
import datetime
import hashlib
import hmac
import json
import pathlib
import secrets
import tempfile

from client_encryption.jwe_encryption import encrypt_payload
from client_encryption.jwe_encryption_config import JweEncryptionConfig
from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding as block_padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).resolve().parent
KEYS = HERE.parents[2] / "keys" / "payload"
TOKENS = HERE / "tokens"
REFUSED_KEYS = HERE / "refused-keys"
PLAIN = {
    "paymentToken": {
        "paymentToken": "5480983162311596",
        "tokenExpirationMonth": "12",
        "tokenExpirationYear": "2031",
    }
}


def private_key(name):
    return serialization.load_pem_private_key((KEYS / f"{name}.pem").read_bytes(), None)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def spki_hash(key):
    spki = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).digest()


def certificate(key):
    """The library takes the recipient's key from a certificate only."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "demonstration")])
    start = datetime.datetime(2026, 1, 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def mastercard(key):
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate(key))
        file.flush()
        config = JweEncryptionConfig(
            {
                "paths": {"$": {"toEncrypt": {"$": "$"}, "toDecrypt": {}}},
                "encryptionCertificate": file.name,
                "encryptedValueFieldName": "paymentData",
            }
        )
    return encrypt_payload(PLAIN, config)["paymentData"]


def cbc_hs256(cek, iv, plain, aad):
    padder = block_padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(cek[16:]), modes.CBC(iv)).encryptor()
    sealed = cipher.update(padder.update(plain) + padder.finalize()) + cipher.finalize()
    length = (len(aad) * 8).to_bytes(8, "big")
    return sealed, hmac.new(cek[:16], aad + iv + sealed + length, hashlib.sha256).digest()[:16]


def by_hand(key, enc, iv_length, **names):
    cek = secrets.token_bytes({"A128GCM": 16, "A192GCM": 24, "A256GCM": 32, "A128CBC-HS256": 32}[enc])
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    header = b64(json.dumps({**names, "alg": "RSA-OAEP-256", "enc": enc}, separators=(",", ":")).encode())
    iv = secrets.token_bytes(iv_length)
    plain = json.dumps(PLAIN).encode()
    if enc == "A128CBC-HS256":
        sealed, tag = cbc_hs256(cek, iv, plain, header.encode())
    else:
        both = AESGCM(cek).encrypt(iv, plain, header.encode())
        sealed, tag = both[:-16], both[-16:]
    return ".".join([header, b64(key.public_key().encrypt(cek, oaep)), b64(iv), b64(sealed), b64(tag)])


def der(tag, content):
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 128 + size]) + length.to_bytes(size, "big") + content


def rsa_pem(n, e, d, p, q):
    """PKCS#1, written by hand, as no library writes keys as bad as these."""
    numbers = [0, n, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)]
    integers = b"".join(der(2, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in numbers)
    text = base64.encodebytes(der(0x30, integers)).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{text}-----END RSA PRIVATE KEY-----\n"


def numbers_of(key):
    private = key.private_numbers()
    return private.public_numbers.n, private.public_numbers.e, private.d, private.p, private.q


def is_prime(number):
    return all(pow(secrets.randbelow(number - 3) + 2, number - 1, number) == 1 for _ in range(20))


def roca_prime():
    """A prime as the faulty generator made them: k * M + 65537^a mod M, M the product of the first 126 primes."""
    small = [p for p in range(2, 702) if all(p % q for q in range(2, int(p**0.5) + 1))]
    product = 1
    for prime in small[:126]:
        product *= prime
    while True:
        k = secrets.randbits(1024 - product.bit_length()) | 3 << (1022 - product.bit_length())
        number = k * product + pow(65537, secrets.randbelow(product), product)
        if number.bit_length() == 1024 and number % 65537 != 1 and is_prime(number):
            return number


def refused_keys():
    n, e, d, p, q = numbers_of(rsa.generate_private_key(65537, 2048))
    yield "exponent-1", rsa_pem(n, 1, 1, p, q)
    yield "exponent-3", rsa_pem(*numbers_of(rsa.generate_private_key(3, 2048)))
    yield "exponent-even", rsa_pem(n, 65538, d, p, q)
    yield "parts-do-not-match", rsa_pem(n, e, d ^ 4, p, q)
    yield "modulus-not-the-product", rsa_pem(n + 2, e, d, p, q)
    p, q = roca_prime(), roca_prime()
    phi = (p - 1) * (q - 1)
    yield "roca", rsa_pem(p * q, 65537, pow(65537, -1, phi), p, q)
    yield "rsa-1024", rsa_pem(*numbers_of(rsa.generate_private_key(65537, 1024)))
    yield "rsa-4104", rsa_pem(*numbers_of(rsa.generate_private_key(65537, 4104)))
    pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    yield "elliptic-curve", ec.generate_private_key(ec.SECP256R1()).private_bytes(pem, pkcs8, plain).decode()
    good = rsa.generate_private_key(65537, 2048)
    locked = serialization.BestAvailableEncryption(b"passphrase")
    yield "passphrase", good.private_bytes(pem, pkcs8, locked).decode()
    text = good.private_bytes(pem, pkcs8, plain).decode()
    yield "truncated", text[: len(text) // 2]
    yield "with-certificate", text + certificate(good).decode()
    yield "public-only", good.public_key().public_bytes(
        pem, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    yield "garbage", "not a key\n"


def tokens():
    current, retired = private_key("demo-payload-2026"), private_key("demo-payload-2025")
    fingerprint = spki_hash(current)
    yield "mastercard-a256gcm-iv16", mastercard(current)
    yield "mastercard-a256gcm-iv16-retired", mastercard(retired)
    yield "a128gcm-iv12-kid", by_hand(current, "A128GCM", 12, kid="demo-payload-2026")
    yield "a128gcm-iv12-alias", by_hand(current, "A128GCM", 12, kid="20260101000000-demo-payload-encryption")
    yield "a128gcm-iv12-no-kid", by_hand(current, "A128GCM", 12)
    yield "a128gcm-iv12-no-kid-retired", by_hand(retired, "A128GCM", 12)
    yield "a192gcm-iv12-hex", by_hand(current, "A192GCM", 12, kid=fingerprint.hex().upper())
    yield "a256gcm-iv12-key-id", by_hand(current, "A256GCM", 12, keyId="demo-payload-2026", iat="1614943856")
    unpadded = base64.b64encode(fingerprint).rstrip(b"=").decode()
    yield "a256gcm-iv12-fingerprint", by_hand(current, "A256GCM", 12, keyFingerprintId=unpadded)
    yield "a128cbc-hs256", by_hand(current, "A128CBC-HS256", 16, kid="demo-payload-2026")


if __name__ == "__main__":
    for name, token in tokens():
        (TOKENS / f"{name}.jwe").write_text(token + "\n")
    for name, pem in refused_keys():
        (REFUSED_KEYS / f"{name}.pem").write_text(pem)

//! The keys that lie in the repository: everybody has them, so production must refuse them.

/// Hex SHA-256 of the SubjectPublicKeyInfo of each demonstration payload key.
pub const PAYLOAD_KEYS: [&str; 2] = [
    "c249254b21f79c1b1ff222127eb978db2ef17f1b05dd518ec62580ccec889c2c",
    "a892b2ea89bfa18cf5f2d4ef9bb0ddc93031d111918be1cc372b3bafc0a27117",
];

/// Hex SHA-256 of the bytes of each demonstration storage key.
pub const STORAGE_KEYS: [&str; 1] =
    ["c34665d41860aaf1e49b5fc0eaf4d41b98c22aaaa7af1484317ca0cefa346398"];

/// Hex SHA-256 of the SubjectPublicKeyInfo of each demonstration key that signs requests.
pub const SIGNING_KEYS: [&str; 2] = [
    "4361fb588e7d4009707518eadab80ca229251e253fdddc70be17554dd806c726",
    "3d3d354ca5a2230fcef4b5af375859b876564ab521e2863557ac1971282332a8",
];

/// Hex SHA-256 of the SubjectPublicKeyInfo of each key that requests to the sandbox are encrypted to.
pub const ENCRYPTION_KEYS: [&str; 1] =
    ["77cf76b96fd70f494f0276b8ade89a82fb317444ed1b3426d845c5aca14953f7"];

/// Hex SHA-256 of the SubjectPublicKeyInfo of each key under which the sandbox signs its answers: whoever trusts one
/// takes anybody's word for Mastercard's.
pub const VERIFICATION_KEYS: [&str; 2] = [
    "2561e7c97be7a6a300774f06aa396f04c2185679b06e859d0aa1fb8e0ae05a86",
    "105c52a2c72076e401bf646a6b6bc338341faf90d8bfe7bb2d4ac652a4ca1d77",
];

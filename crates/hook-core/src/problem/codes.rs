//! Every problem code there is. The pages in `docs/errors/` are generated from this list.

use super::Code;

/// All codes, in order.
pub static ALL: &[&Code] = &[&SYNTAX, &UNKNOWN_KEY];

/// The text is not TOML.
pub static SYNTAX: Code = Code {
    id: "HOOK0100",
    title: "The contract is not valid TOML",
    is_security_critical: true,
    about: "The file cannot be read as TOML, so that nothing of it is known.",
    wrong: "[app\n",
    right: "[app]\n",
};

/// A key that no section knows.
pub static UNKNOWN_KEY: Code = Code {
    id: "HOOK0101",
    title: "Unknown key",
    is_security_critical: false,
    about: "A contract says only what is used: a key that nothing reads is a mistake, most often of spelling.",
    wrong: "[app]\nid = \"my-app\"\nnane = \"My app\"\n",
    right: "[app]\nid = \"my-app\"\nname = \"My app\"\n",
};

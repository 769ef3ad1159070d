//! A shared token in the `Authorization` header (RFC 6750, section 2.1).

use hook_core::secret::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How such a header begins.
pub const SCHEME: &str = "Bearer";

/// Whether the value of an `Authorization` header carries the token, in a time that does not depend on where it differs.
pub fn matches(secret: &Secret, header: &[u8]) -> bool {
    of_secret(secret).zip(of_header(header)).is_some_and(|(token, given)| are_equal(token, given))
}

/// A token without the line break of the file that it came from: no header could carry that.
pub fn of_secret(secret: &Secret) -> Option<&[u8]> {
    Some(secret.expose().trim_ascii()).filter(|token| !token.is_empty())
}

/// The token that the value of such a header carries.
pub fn of_header(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(SCHEME.as_bytes()) && token.first() == Some(&b' ');
    Some(token.trim_ascii()).filter(|token| is_bearer && !token.is_empty())
}

/// Whether two secrets are equal. Compares digests, so that not even the length shows.
pub fn are_equal(one: &[u8], other: &[u8]) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_carries_the_token_in_any_case_of_its_scheme_and_without_the_line_break_of_its_file() {
        let secret = Secret::new("abc\n");
        for header in ["Bearer abc", "bearer abc", "BEARER   abc "] {
            assert!(matches(&secret, header.as_bytes()), "{header}");
        }
        for header in ["", "abc", "Bearer", "Bearer ", "Bearerabc", "Bearer abcd", "Bearer ab", "Basic abc"] {
            assert!(!matches(&secret, header.as_bytes()), "{header}");
        }
        assert!(!matches(&Secret::new("\n"), b"Bearer "), "an empty token is none");
    }

    #[test]
    fn secrets_of_different_lengths_are_not_equal() {
        assert!(are_equal(b"abc", b"abc"));
        assert!(!are_equal(b"abc", b"abcd"));
        assert!(!are_equal(b"abc", b""));
    }
}

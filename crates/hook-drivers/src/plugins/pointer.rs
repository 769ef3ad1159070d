//! JSON pointers that settings name (RFC 6901).

/// How a pointer is written, for whoever wrote it wrongly.
pub(super) const HELP: &str =
    "write a JSON pointer such as `/issue/number`; inside a name, `~0` is `~` and `~1` is `/`";

/// What is wrong with a pointer to a field (RFC 6901, section 3).
pub(super) fn check(pointer: &str) -> Option<&'static str> {
    if pointer.is_empty() {
        return Some("an empty pointer is the whole payload, which is never missing");
    }
    if !pointer.starts_with('/') {
        return Some("a JSON pointer begins with `/`");
    }
    let is_escape = |after: &str| after.starts_with(['0', '1']);
    let are_escapes = pointer.split('~').skip(1).all(is_escape);
    (!are_escapes).then_some("in a JSON pointer, `~` is followed by `0` or `1`")
}

/// A step of a pointer without its escapes.
pub(super) fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

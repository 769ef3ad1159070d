//! Who is at the terminal, for the record of what was sent again.

use std::os::unix::fs::MetadataExt;

/// `user@host`, as far as the system says.
pub fn operator() -> String {
    format!("{}@{}", user(), host())
}

/// Who runs this process. The variable may say anything; where it is not set, the number cannot lie.
fn user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok()).filter(|user| is_plain(user));
    let number = || std::fs::metadata("/proc/self").map(|process| format!("uid-{}", process.uid())).ok();
    named.or_else(number).unwrap_or_else(|| "unknown".to_owned())
}

fn host() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let named = kernel.or_else(|| std::env::var("HOSTNAME").ok());
    named.filter(|host| is_plain(host)).unwrap_or_else(|| "localhost".to_owned())
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && !name.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_somebody() {
        let operator = operator();
        let (user, host) = operator.split_once('@').unwrap();
        assert!(is_plain(user) && is_plain(host), "{operator}");
        assert!(!is_plain("") && !is_plain("a b") && !is_plain("a\x1b[2J"));
    }
}

//! "Did you mean": the known name nearest to one that is not known.

/// The known name that was most likely meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names longer than this are no slip of a finger, and the comparison is quadratic.
    if name.len() > 100 {
        return None;
    }
    let lower = name.to_lowercase();
    let allowed = 1 + name.chars().count() / 4;
    known
        .into_iter()
        .filter(|known| known.len() <= 200)
        .map(|known| (strsim::damerau_levenshtein(&lower, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= allowed || is_part(&lower, known))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// `http_webhook` for `http_webhook_ingress`, `add_flag` for `add_meta_flag`.
fn is_part(name: &str, known: &str) -> bool {
    let is_within = name.len() >= 4 && (known.contains(name) || known.len() >= 4 && name.contains(known));
    let words = |text: &'_ str| text.split(['_', '-']).map(str::to_owned).collect::<Vec<_>>();
    let (name, known) = (words(name), words(known));
    is_within || name.len() > 1 && name.iter().all(|word| known.contains(word))
}

/// A help line for an unknown name: what was meant, and what there is.
pub(crate) fn help<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, what: &str) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    help_with_planned(name, &known, &[], what)
}

/// The same where there are names that are known and not built. They are listed as such.
pub(crate) fn help_with_planned(name: &str, built: &[&str], planned: &[&str], what: &str) -> String {
    let mut list = match built {
        [] => format!("there are no {what}"),
        built => format!("{what}: {}", listed(built)),
    };
    list.extend(planned.iter().map(|name| format!(", `{name}` (not in this build)")));
    match nearest(name, built.iter().chain(planned).copied()) {
        Some(meant) => format!("did you mean `{meant}`? {list}"),
        None => list,
    }
}

/// A list for people, cut where it would fill the screen.
pub(crate) fn listed(names: &[&str]) -> String {
    const MAX: usize = 24;
    let shown: Vec<String> = names.iter().take(MAX).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > MAX { format!(" and {} more", names.len() - MAX) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_meant() {
        let known = ["id", "name", "version", "source_match", "http_webhook_ingress"];
        let meant = |name| nearest(name, known);
        assert_eq!(meant("nane"), Some("name"));
        assert_eq!(meant("Version"), Some("version"));
        assert_eq!(meant("source-match"), Some("source_match"));
        assert_eq!(meant("http_webhook"), Some("http_webhook_ingress"));
        assert_eq!(meant("http_ingress"), Some("http_webhook_ingress"));
        assert_eq!(meant("colour"), None);
    }
}

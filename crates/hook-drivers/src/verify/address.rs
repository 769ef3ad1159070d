//! The address of a request as its provider knows it, and the parameters in it.

use std::borrow::Cow;

use hook_core::ports::verifier::Address;
use url::form_urlencoded;

/// The URL that a provider posts to: as the contract says, or that of the request, behind HTTPS.
///
/// The contract's says nothing of parameters, unless it has some: then it is complete.
pub(crate) fn posted_to(public_url: Option<&str>, address: &Address<'_>) -> String {
    match public_url {
        None => format!("https://{}{}", address.host, address.url),
        Some(complete) if complete.contains('?') => complete.to_owned(),
        Some(without_query) => match address.url.split_once('?') {
            Some((_, query)) => format!("{without_query}?{query}"),
            None => without_query.to_owned(),
        },
    }
}

/// The parameters of a path with its query.
pub(crate) fn parameters(url: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(url.split_once('?').map_or("", |(_, query)| query).as_bytes())
}

/// The value of a parameter; `None` where it is absent, or there more than once: two readers could go by two values.
pub(crate) fn parameter<'u>(url: &'u str, name: &str) -> Option<Cow<'u, str>> {
    let mut values = parameters(url).filter(|(key, _)| key == name).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_what_the_contract_says_with_the_parameters_of_the_request() {
        let posted = |public: Option<&str>, url: &str| posted_to(public, &Address { host: "h:8", url });
        assert_eq!(posted(None, "/in?a=1"), "https://h:8/in?a=1");
        assert_eq!(posted(Some("https://x.example/in"), "/internal"), "https://x.example/in");
        assert_eq!(posted(Some("https://x.example/in"), "/internal?a=%20"), "https://x.example/in?a=%20");
        assert_eq!(posted(Some("https://x.example/in?b=2"), "/internal?a=1"), "https://x.example/in?b=2");
    }

    #[test]
    fn a_parameter_counts_only_where_it_stands_once() {
        assert_eq!(parameter("/in?token=a%26b&x", "token").as_deref(), Some("a&b"));
        assert_eq!(parameter("/in?token=a&token=a", "token"), None);
        assert_eq!(parameter("/in?token=a&%74oken=b", "token"), None);
        assert_eq!(parameter("/in", "token"), None);
    }
}

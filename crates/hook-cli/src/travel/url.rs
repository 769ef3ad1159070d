//! What posts events to a URL that is no part of the contract: the driver `http_output`, with its guard against private networks.

use std::sync::Arc;

use hook_core::{
    catalog::{BuildError, Entry},
    job::UrlTarget,
    ports::egress::EgressDriver,
};
use hook_drivers::http::output::HttpOutput;
use hook_runtime::travel::ToUrl;
use serde_json::{Map, json};

/// Makes the driver.
pub fn maker() -> ToUrl {
    Arc::new(driver)
}

fn driver(target: &UrlTarget) -> Result<Arc<dyn EgressDriver>, String> {
    let UrlTarget { url, signing_secret_env, allow_networks } = target;
    let mut settings =
        Map::from_iter([("url".to_owned(), json!(url)), ("allow_networks".to_owned(), json!(allow_networks))]);
    settings.extend(signing_secret_env.as_ref().map(|name| ("signing_secret_env".to_owned(), json!(name))));
    let entry: Entry<dyn EgressDriver> = Entry::of::<HttpOutput>();
    let built = entry.build(settings.into()).map_err(|error| match error {
        BuildError::Unreadable { pointer, message } => format!("--to-url: {pointer}: {message}"),
        BuildError::Faulty(faults) => {
            let said = faults.iter().map(|fault| format!("--to-url: {}; {}", fault.message, fault.help));
            said.collect::<Vec<_>>().join("; ")
        }
    })?;
    Ok(built.driver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_no_driver_takes_is_refused_with_a_reason() {
        let target = |url: &str| UrlTarget { url: url.into(), signing_secret_env: None, allow_networks: Vec::new() };
        assert!(driver(&target("https://example.com/hook")).is_ok());
        let error = driver(&target("ftp://example.com")).err().unwrap();
        assert!(error.starts_with("--to-url: "), "{error}");
    }
}

//! `add_meta_flag`: marks an event.

use std::sync::Arc;

use hook_core::{
    catalog::{Fault, Kind},
    ports::plugin::{Draft, Plugin, Verdict},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A flag is a label that stands in every envelope, not a place for text.
const MAX_LENGTH: usize = 64;

/// The settings of `add_meta_flag`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The flag, such as `needs-review`: at most 64 visible ASCII characters, not beginning with `text:`.
    pub flag: String,
}

/// The plugin `add_meta_flag`.
pub struct AddMetaFlag {
    flag: String,
}

impl Kind for AddMetaFlag {
    const NAME: &'static str = "add_meta_flag";
    const ABOUT: &'static str = "Adds a flag to `meta.flags`, once.";
    type Settings = Settings;
    type Driver = dyn Plugin;

    fn build(Settings { flag }: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        if flag.starts_with(hook_sanitize::PREFIX) {
            let help = "take another name: flags that begin so say what was found in an event's text";
            return Err(vec![Fault::at(
                "/flag",
                format!("`{}` begins the flags of the sanitizer", hook_sanitize::PREFIX),
                help,
            )]);
        }
        let is_label = (1..=MAX_LENGTH).contains(&flag.len()) && flag.bytes().all(|byte| byte.is_ascii_graphic());
        match is_label {
            true => Ok(Arc::new(Self { flag })),
            false => {
                let help = "write 1 to 64 visible ASCII characters without spaces, such as `needs-review`";
                Err(vec![Fault::at("/flag", "this is no flag", help)])
            }
        }
    }
}

impl Plugin for AddMetaFlag {
    fn apply(&self, draft: &mut Draft) -> Verdict {
        let flags = &mut draft.meta.flags;
        if !flags.contains(&self.flag) {
            flags.push(self.flag.clone());
        }
        Verdict::Keep
    }
}

//! What can be found in text, and the flags that say so.

/// How every flag of the sanitizer begins. Nobody else sets a flag that begins so.
pub const PREFIX: &str = "text:";

macro_rules! classes {
    ($($(#[doc = $about:literal])* $class:ident = $flag:literal,)*) => {
        /// A kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Class {
            $($(#[doc = $about])* $class,)*
        }

        impl Class {
            /// All of them, in the order in which flags are written.
            pub const ALL: &[Self] = &[$(Self::$class,)*];

            /// The flag in `meta.flags`. It never changes.
            pub fn flag(self) -> &'static str {
                match self { $(Self::$class => concat!("text:", $flag),)* }
            }

            /// What it means, in a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Self::$class => concat!($($about, "\n",)*).trim_ascii(),)* }
            }
        }
    };
}

classes! {
    /// Tells an agent to drop the instructions that it has, or puts others in their place.
    InstructionOverride = "instruction_override",
    /// Gives an agent another role, or claims to speak for the system.
    RoleHijack = "role_hijack",
    /// Holds tokens by which chat templates mark who speaks.
    ChatTemplate = "chat_template",
    /// Wants an agent to call a tool or to run a command.
    ToolCall = "tool_call",
    /// Holds text in base64, hex, percent, entities, rot13 or backwards that says what another flag names.
    EncodedPayload = "encoded_payload",
    /// Presses an agent or a reader with urgency, authority or secrecy to hand something over.
    SocialEngineering = "social_engineering",
    /// Asks for the system prompt, or for what an agent was told.
    PromptRequest = "prompt_request",
    /// Wants data sent away, in an image's address or by a request.
    Exfiltration = "exfiltration",
    /// Speaks to an agent where a person sees nothing: in a comment, or in text without size or colour.
    HiddenContent = "hidden_content",
    /// Holds characters that nobody sees: tags, chains of variation selectors, zero-width characters within words.
    InvisibleCharacters = "invisible_characters",
    /// Holds controls that show text in another order than it is read in.
    BidiControl = "bidi_control",
    /// Was only understood after look-alikes, digits in place of letters, gaps or odd letters were undone.
    Obfuscated = "obfuscated",
    /// Reads like what is written to steer an agent, by weights that were learned from examples, where no rule names it.
    SuspiciousInstruction = "suspicious_instruction",
    /// Is longer than what is rendered for an agent. This says nothing of what it means.
    TooLong = "too_long",
}

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u16);

impl Flags {
    /// The set with one more.
    #[must_use]
    pub fn with(self, class: Class) -> Self {
        Self(self.0 | 1 << class as u16)
    }

    /// Adds one.
    pub fn set(&mut self, class: Class) {
        *self = self.with(class);
    }

    /// Adds all of another set.
    pub fn extend(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether the class is in it.
    pub fn has(self, class: Class) -> bool {
        self.0 & 1 << class as u16 != 0
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The classes, in their order.
    pub fn classes(self) -> impl Iterator<Item = Class> {
        Class::ALL.iter().copied().filter(move |class| self.has(*class))
    }

    /// The names for `meta.flags`, in their order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.classes().map(Class::flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_flag_of_its_own_below_the_prefix() {
        let mut seen = std::collections::HashSet::new();
        for class in Class::ALL {
            assert!(class.flag().starts_with(PREFIX) && seen.insert(class.flag()), "{class:?}");
            assert!(class.about().ends_with('.'), "{class:?}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut flags = Flags::default().with(Class::TooLong);
        flags.extend(Flags::default().with(Class::RoleHijack));
        assert_eq!(flags.names().collect::<Vec<_>>(), ["text:role_hijack", "text:too_long"]);
        assert!(!flags.has(Class::ToolCall) && !flags.is_empty());
    }
}

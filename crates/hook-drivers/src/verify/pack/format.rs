//! What a pack may say, in TOML. Unknown keys are errors: a pack that says more than is checked would be believed.

use std::collections::BTreeMap;

use hook_core::duration::HumanDuration;
use serde::Deserialize;

/// A provider as data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The name of the file, and of the verifier.
    #[serde(skip)]
    pub name: &'static str,
    /// What the provider is called.
    pub title: String,
    /// One sentence for the reference.
    pub about: String,
    /// Where the provider publishes its algorithm.
    pub docs: String,
    /// What goes into the variable of the secret, and where the provider shows it.
    pub secret: String,
    /// What else whoever sets it up has to know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How a request proves where it comes from.
    pub signature: Signature,
    /// Where an event says what it is.
    #[serde(default)]
    pub event: Event,
    /// What bodies look like.
    #[serde(default)]
    pub body: Body,
    /// Requests that want an answer, and are no events.
    #[serde(default)]
    pub challenge: Vec<Challenge>,
    /// What the provider insists on being answered where an event was taken: the first whose conditions hold.
    #[serde(default)]
    pub reply: Vec<Reply>,
    /// A body to try things out with.
    pub sample: Sample,
}

/// How a request proves where it comes from. Exactly one of `header`, `query` and `field` says where the proof stands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// What the proof is.
    pub scheme: Scheme,
    /// The header that holds it.
    pub header: Option<String>,
    /// The parameter of the URL that holds it.
    pub query: Option<String>,
    /// The field of the body that holds it, a JSON pointer.
    pub field: Option<String>,
    /// What stands before it, such as `sha256=`.
    #[serde(default)]
    pub prefix: String,
    /// The characters that part several signatures, or a signature and its time.
    #[serde(default)]
    pub separators: String,
    /// How a signature is written.
    #[serde(default)]
    pub encoding: super::super::signature::Encoding,
    /// How a secret is written.
    #[serde(default)]
    pub secret_encoding: SecretEncoding,
    /// What is signed: text, and `{body}`, `{timestamp}`, `{id}`, `{url}`, `{parameters}` (names and values of a form, sorted),
    /// `{/pointer}` (a field of a body that holds its own signature) and `{/pointer?}` (the same, or nothing).
    #[serde(default = "of_body")]
    pub content: String,
    /// Where the signed time stands: `header:NAME`, `element:NAME` (beside the signature), or a JSON pointer.
    pub timestamp: Option<String>,
    /// How it is written where we sign.
    #[serde(default)]
    pub timestamp_format: TimeFormat,
    /// How far it may be from now.
    pub tolerance: Option<HumanDuration>,
    /// The header of `{id}`.
    pub id: Option<String>,
    /// Fields that must be absent, because nothing signs them.
    #[serde(default)]
    pub unsigned: Vec<String>,
    /// What the claim `iss` of a `jws-hs256` has to be.
    pub issuer: Option<String>,
    /// The claim of a `jws-hs256` that is the SHA-256 of the body, as a JSON pointer.
    pub digest: Option<String>,
}

fn of_body() -> String {
    "{body}".to_owned()
}

impl Signature {
    /// Whether the address that the provider posts to is signed.
    pub fn signs_url(&self) -> bool {
        self.content.contains("{url}")
    }
}

/// What a proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// An HMAC with SHA-1.
    HmacSha1,
    /// An HMAC with SHA-256.
    HmacSha256,
    /// An HMAC with SHA-512.
    HmacSha512,
    /// A signature of a key pair: Ed25519.
    Ed25519,
    /// A signature of a key pair: ECDSA with P-256 and SHA-256, in DER.
    EcdsaP256,
    /// A JSON Web Signature with HMAC-SHA256, whose claims hold the digest of the body.
    JwsHs256,
    /// The secret itself. It proves who sends, not what is sent.
    Token,
}

/// How a secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretEncoding {
    /// The secret's bytes are the key.
    #[default]
    Text,
    /// In hexadecimal digits.
    Hex,
    /// In base64, with or without `whsec_` before it.
    Base64,
    /// In base64 where it begins with `whsec_`, otherwise the bytes.
    Whsec,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeFormat {
    /// In Unix seconds.
    #[default]
    Seconds,
    /// In Unix milliseconds.
    Milliseconds,
    /// As RFC 3339 has it.
    Rfc3339,
}

/// Where an event says what it is. Each is a list of templates with `{header:NAME}` and `{/pointer}`; the first of which every
/// part is there counts. In a pointer, `*` is every element of an array: it is there where they all say the same.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Its type.
    #[serde(default)]
    pub r#type: Vec<String>,
    /// What the provider calls the delivery.
    #[serde(default)]
    pub delivery_id: Vec<String>,
    /// What it is about.
    #[serde(default)]
    pub ordering_key: Vec<String>,
}

/// What bodies look like.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// The shapes that the provider sends.
    pub shapes: Vec<Shape>,
}

impl Default for Body {
    fn default() -> Self {
        Self { shapes: vec![Shape::Object] }
    }
}

/// A shape of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A JSON object.
    Object,
    /// A JSON array: it becomes `{"items":[…]}`.
    Array,
    /// A form: it becomes an object of strings.
    Form,
}

impl Shape {
    /// What people call it.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Object => "JSON object",
            Self::Array => "JSON array, which becomes `{\"items\": […]}`",
            Self::Form => "form, which becomes an object of strings",
        }
    }
}

/// A request that wants an answer, and is no event. Exactly one of `text`, `json` and `body` is the answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// What it asks, and what is answered, in one sentence.
    pub about: String,
    /// How it comes: a POST is answered only once its signature has passed.
    #[serde(default)]
    pub method: Method,
    /// What it is known by: values at `header:NAME`, `query:NAME` or a JSON pointer.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// What must not be there.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Without a body: where the token stands that it has to show.
    pub token: Option<String>,
    /// The status of the answer.
    #[serde(default = "ok")]
    pub status: u16,
    /// A template: `{/pointer}`, `{header:NAME}`, `{query:NAME}`, or `{hmac:/pointer}`, the HMAC-SHA256 of a field in hex.
    pub text: Option<String>,
    /// An object whose values are such templates.
    pub json: Option<BTreeMap<String, String>>,
    /// This, as it is.
    pub body: Option<String>,
    /// The type of that body.
    pub content_type: Option<String>,
}

fn ok() -> u16 {
    200
}

/// How a challenge comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// As an event would.
    #[default]
    Post,
    /// With its parameters in the URL.
    Get,
    /// With nothing but a URL: only whether there is anything at it.
    Head,
}

/// What a provider insists on being answered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The events that are answered so, by their values at JSON pointers; all of them where it is empty.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// The status: a success.
    #[serde(default = "ok")]
    pub status: u16,
    /// The type of the body; empty where there is none.
    #[serde(default)]
    pub content_type: String,
    /// The body.
    #[serde(default)]
    pub body: String,
}

/// A body to try things out with. In its text `<event>`, `<object>`, `<action>`, `<id>`, `<time>`, `<time_ms>` and `<time_rfc3339>`
/// are filled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// An event type that the provider sends, as `hook` names it; empty where it says none.
    pub event: String,
    /// The body.
    pub body: Option<String>,
    /// The fields of a form.
    pub form: Option<BTreeMap<String, String>>,
    /// Headers that come with every event.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl Pack {
    /// Reads a pack.
    pub fn parse(name: &'static str, text: &str) -> Result<Self, String> {
        let pack: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self { name, ..pack })
    }
}

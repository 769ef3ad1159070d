//! An HMAC that the contract describes completely: what is signed, how, and where it stands.

use std::sync::Arc;

use hook_core::{
    Timestamp,
    catalog::{Fault, Kind},
    duration::HumanDuration,
    payload::Payload,
    ports::verifier::{
        Checks, Claim, DeliveryId, Refusal, Sample, SampleRequest, Signed, SignedRequest, SigningRequest,
        SourceVerifier, Verified,
    },
    selector::Selector,
};
use http::{HeaderMap, HeaderName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    freshness, header,
    proof::Proof,
    scheme::{Method, Part, Scheme, SignedTime, TimeFormat, TimePlace},
    signature::{Algorithm, Encoding, SecretEncoding},
    template::{self, Piece},
};

/// What may part several signatures of one header. A character that the prefix needs parts nothing.
const SEPARATORS: [char; 4] = [',', ';', ' ', '\t'];
const DEFAULT_TOLERANCE: HumanDuration = HumanDuration::from_secs(300);

/// The settings of `hmac`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The hash function.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// The header of the signature, such as `X-Signature`. It may hold several, parted by commas, semicolons or spaces;
    /// one of them has to match.
    pub header: String,
    /// What stands before a signature, such as `sha256=`.
    #[serde(default)]
    pub prefix: String,
    /// How a signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How the secret is written.
    #[serde(default)]
    pub secret_encoding: SecretEncoding,
    /// What is signed: `{body}`, with `{timestamp}` and `{id}` where the sender signs them too.
    #[serde(default = "default_signed_content")]
    pub signed_content: String,
    /// Where the signed time stands, in Unix seconds or milliseconds. In the header of the signature, it is the element
    /// `t=`, `ts=` or `timestamp=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Selector>,
    /// How far the signed time may be from now: `5m`, unless this says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<HumanDuration>,
    /// Where the sender's id for a delivery stands: `{id}` of the signed content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<Selector>,
}

fn default_signed_content() -> String {
    "{body}".to_owned()
}

/// The verifier `hmac`.
pub struct Hmac {
    scheme: Scheme,
    delivery_id: Option<Selector>,
}

impl Kind for Hmac {
    const NAME: &'static str = "hmac";
    const ABOUT: &'static str = "Any sender that signs with an HMAC: the contract describes what is signed and how.";
    type Settings = Settings;
    type Driver = dyn SourceVerifier;

    fn build(settings: Settings) -> Result<Arc<Self::Driver>, Vec<Fault>> {
        let mut faults = Vec::new();
        let header = keep(&mut faults, header_name(&settings.header));
        keep(&mut faults, check_prefix(&settings.prefix));
        let content = keep(&mut faults, content(&settings.signed_content)).unwrap_or_default();
        let separators = SEPARATORS.into_iter().filter(|&separator| !settings.prefix.contains(separator)).collect();
        faults.extend(faults_of_time(&settings, &content));
        faults.extend(faults_of_id(&settings, &content));
        let tolerance = settings.tolerance.unwrap_or(DEFAULT_TOLERANCE);
        let tolerance = keep(&mut faults, freshness::tolerance(tolerance));
        let (Some(header), Some(tolerance), true) = (header, tolerance, faults.is_empty()) else { return Err(faults) };
        let time = settings.timestamp.map(|selector| SignedTime {
            place: time_place(selector, &header),
            format: TimeFormat::Seconds,
            tolerance,
        });
        let id = match &settings.delivery_id {
            Some(Selector::Header(name)) => Some(name.clone()),
            Some(Selector::Pointer(_)) | None => None,
        };
        let scheme = Scheme {
            prefix: settings.prefix.into(),
            separators,
            method: Method::Hmac(settings.algorithm),
            encoding: settings.encoding,
            secret: settings.secret_encoding,
            content,
            time,
            id,
            // A source is described once, and a refusal names its header for as long as the process lives.
            ..Scheme::new(Proof::Header(header, settings.header.leak()))
        };
        Ok(Arc::new(Self { scheme, delivery_id: settings.delivery_id }))
    }
}

impl SourceVerifier for Hmac {
    fn verify(&self, request: &SignedRequest<'_>) -> Result<Verified, Refusal> {
        self.scheme.verify(request)
    }

    fn describe(&self, headers: &HeaderMap, payload: &Payload) -> Claim {
        let delivery_id = match &self.delivery_id {
            None => None,
            Some(Selector::Header(name)) => {
                header::described(headers, name).map(|value| DeliveryId { value, is_signed: self.scheme.signs_id() })
            }
            Some(pointer @ Selector::Pointer(_)) => {
                pointer.select(headers, payload).map(|value| DeliveryId { value, is_signed: true })
            }
        };
        Claim { delivery_id, ..Claim::default() }
    }

    fn signs_delivery_id(&self) -> bool {
        !matches!(self.delivery_id, Some(Selector::Header(_))) || self.scheme.signs_id()
    }

    fn sent_at(&self, headers: &HeaderMap, payload: &Payload) -> Option<Timestamp> {
        self.scheme.sent_at(headers, payload)
    }

    fn sign(&self, request: &SigningRequest<'_>) -> Option<Signed> {
        self.scheme.sign(request)
    }

    fn sample(&self, request: &SampleRequest<'_>) -> Option<Sample> {
        // Any body will do, unless it has to say when it was sent.
        let pointer = self.scheme.time_in_body()?;
        let time = Value::from(request.now.as_second());
        let mut body = pointer
            .rsplit('/')
            .filter(|key| !key.is_empty())
            .fold(time, |value, key| json!({ key.replace("~1", "/").replace("~0", "~"): value }));
        let fields = body.as_object_mut()?;
        fields.insert("type".to_owned(), request.event_type.into());
        fields.insert("id".to_owned(), request.id.into());
        let (event_name, content_type) = (request.event_type.to_owned(), "application/json");
        Some(Sample { event_name, content_type, body: body.to_string().into_bytes() })
    }

    fn checks(&self) -> Option<Checks> {
        let delivery_id = self.delivery_id.as_ref().map(|selector| format!("{{{selector}}}"));
        Some(Checks {
            delivery_id: delivery_id.into_iter().collect(),
            delivery_id_is_signed: self.signs_delivery_id(),
            ..self.scheme.checks()
        })
    }
}

fn keep<T>(faults: &mut Vec<Fault>, result: Result<T, Fault>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

fn header_name(text: &str) -> Result<HeaderName, Fault> {
    text.parse().map_err(|_| Fault::at("/header", "this is no name of a header", "write a name such as `X-Signature`"))
}

fn check_prefix(prefix: &str) -> Result<(), Fault> {
    match prefix.trim_start() == prefix && prefix.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => Ok(()),
        false => {
            let help = "write the text before the signature as it is sent, such as `sha256=`";
            Err(Fault::at("/prefix", "no header can begin with this", help))
        }
    }
}

/// Reads `{timestamp}.{body}` as its parts.
fn content(template: &str) -> Result<Vec<Part>, Fault> {
    let refuse = |message: String, help: &str| Fault::at("/signed_content", message, help).security_critical();
    let known = "the placeholders are `{body}`, `{timestamp}` and `{id}`";
    let pieces = template::pieces(template).map_err(|_| refuse("a `{` is not closed".into(), known))?;
    let part = |piece| match piece {
        Piece::Text(text) => Ok(Part::Text(text.to_owned().into())),
        Piece::Name("body") => Ok(Part::Body),
        Piece::Name("timestamp") => Ok(Part::Time),
        Piece::Name("id") => Ok(Part::Id),
        Piece::Name(other) => Err(refuse(format!("`{{{other}}}` is no placeholder"), known)),
    };
    let parts = pieces.into_iter().map(part).collect::<Result<Vec<Part>, Fault>>()?;
    if !parts.contains(&Part::Body) {
        let help = "put `{body}` where the sender signs the body";
        return Err(refuse("the body is not signed, so that anyone could change it".into(), help));
    }
    Ok(parts)
}

fn faults_of_time(settings: &Settings, content: &[Part]) -> Vec<Fault> {
    let is_signed = content.contains(&Part::Time);
    let mut faults = Vec::new();
    match (&settings.timestamp, is_signed) {
        (None, true) => faults.push(Fault::at(
            "/signed_content",
            "`{timestamp}` stands for nothing",
            "say where it stands, such as `timestamp = \"header:X-Timestamp\"`",
        )),
        (Some(Selector::Pointer(_)), true) => faults.push(Fault::at(
            "/timestamp",
            "nothing is read from a body before its signature has passed",
            "name the header of the time, or leave `{timestamp}` out: the body is signed as a whole",
        )),
        // With nothing to go by, the window would be open to whoever replays a request under a new time.
        (Some(Selector::Header(_)), false) if !content.is_empty() => faults.push(
            Fault::at(
                "/timestamp",
                "this header is not signed, so that anyone could change the time",
                "put `{timestamp}` into `signed_content` as the sender signs it, or leave `timestamp` out",
            )
            .security_critical(),
        ),
        _ => {}
    }
    if settings.timestamp.is_none() && settings.tolerance.is_some() {
        let help = "say where the signed time stands with `timestamp`, or leave `tolerance` out";
        faults.push(Fault::at("/tolerance", "without `timestamp` this has no effect", help));
    }
    faults
}

fn faults_of_id(settings: &Settings, content: &[Part]) -> Option<Fault> {
    match (&settings.delivery_id, content.contains(&Part::Id)) {
        (None, true) => Some(Fault::at(
            "/signed_content",
            "`{id}` stands for nothing",
            "say where it stands, such as `delivery_id = \"header:X-Delivery\"`",
        )),
        (Some(Selector::Pointer(_)), true) => Some(Fault::at(
            "/delivery_id",
            "nothing is read from a body before its signature has passed",
            "name the header of the id, or leave `{id}` out: the body is signed as a whole",
        )),
        _ => None,
    }
}

fn time_place(selector: Selector, signature: &HeaderName) -> TimePlace {
    match selector {
        Selector::Header(name) if name == *signature => TimePlace::Element(&["t=", "ts=", "timestamp="]),
        Selector::Header(name) => TimePlace::Header(name),
        Selector::Pointer(pointer) => TimePlace::Pointer(pointer),
    }
}

//! Which drivers this build has: a list, given as a value, that tests can shorten and others can extend.

use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::ports::{egress::EgressDriver, ingress::IngressDriver, plugin::Plugin, verifier::SourceVerifier};

/// How a driver is declared: its name, its typed settings, and a pure function that builds it.
pub trait Kind: 'static {
    /// The name in a contract.
    const NAME: &'static str;
    /// One sentence for the reference.
    const ABOUT: &'static str;
    /// What a contract may set. Its schema is the driver's schema; unknown keys are refused by the contract.
    type Settings: DeserializeOwned + Serialize + JsonSchema;
    /// The port that it implements, such as `dyn EgressDriver`.
    type Driver: ?Sized;

    /// Builds an inert driver, or says everything that is wrong with the settings. Touches nothing.
    fn build(settings: Self::Settings) -> Result<Arc<Self::Driver>, Vec<Fault>>;
}

/// One thing that is wrong with settings that have the right shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key, as a JSON pointer into the settings, such as `/url`.
    pub pointer: String,
    /// Whether it stops the start in every mode.
    pub is_security_critical: bool,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl Fault {
    /// A fault at a key.
    pub fn at(pointer: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), is_security_critical: false, message: message.into(), help: help.into() }
    }

    /// The same fault, stopping the start in every mode.
    #[must_use]
    pub fn security_critical(mut self) -> Self {
        self.is_security_critical = true;
        self
    }
}

/// A kind in the catalog, its type erased.
pub struct Entry<D: ?Sized> {
    name: &'static str,
    about: &'static str,
    schema: MakeSchema,
    build: Build<D>,
}

type MakeSchema = Box<dyn Fn(&mut SchemaGenerator) -> Schema + Send + Sync>;
type Build<D> = Box<dyn Fn(Value) -> Result<Built<D>, BuildError> + Send + Sync>;

/// A built driver with its settings, complete with defaults.
pub struct Built<D: ?Sized> {
    /// The driver, inert.
    pub driver: Arc<D>,
    /// Every setting, those that the contract left out too.
    pub settings: Value,
}

/// Why a driver was not built.
#[derive(Debug)]
pub enum BuildError {
    /// A value cannot be read as its type: the pointer to it, and what was expected.
    Unreadable {
        /// The key, as a JSON pointer.
        pointer: String,
        /// What serde says.
        message: String,
    },
    /// The settings can be read, and are wrong.
    Faulty(Vec<Fault>),
}

impl<D: ?Sized> Entry<D> {
    /// The entry of a kind.
    pub fn of<K: Kind<Driver = D>>() -> Self {
        Self {
            name: K::NAME,
            about: K::ABOUT,
            schema: Box::new(schema_of::<K::Settings>),
            build: Box::new(build_kind::<K>),
        }
    }

    /// The entry of one of many kinds that differ in data alone. The schema is that of `settings`, and names no key that has no
    /// effect on this one.
    pub fn described(
        name: &'static str,
        about: &'static str,
        schema: impl Fn(&mut SchemaGenerator) -> Schema + Send + Sync + 'static,
        build: impl Fn(Value) -> Result<Built<D>, BuildError> + Send + Sync + 'static,
    ) -> Self {
        Self { name, about, schema: Box::new(schema), build: Box::new(build) }
    }

    /// The name in a contract.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// One sentence for the reference.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// The JSON Schema of the settings, with nothing left to look up elsewhere.
    pub fn schema(&self) -> Schema {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        (self.schema)(&mut settings.into_generator())
    }

    /// Builds the driver from settings as the contract wrote them.
    pub fn build(&self, settings: Value) -> Result<Built<D>, BuildError> {
        (self.build)(settings)
    }
}

fn schema_of<S: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    S::json_schema(generator)
}

/// Reads settings as their type, or says which key cannot be read.
pub fn read<S: DeserializeOwned>(value: Value) -> Result<S, BuildError> {
    serde_path_to_error::deserialize(value).map_err(|error| BuildError::Unreadable {
        pointer: pointer_of(error.path()),
        message: error.inner().to_string(),
    })
}

fn build_kind<K: Kind>(value: Value) -> Result<Built<K::Driver>, BuildError> {
    let settings: K::Settings = read(value)?;
    let complete = serde_json::to_value(&settings).unwrap_or(Value::Null);
    let driver = K::build(settings).map_err(BuildError::Faulty)?;
    Ok(Built { driver, settings: complete })
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{key}"),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}

/// A source that needs no block in the contract.
#[derive(Debug, Clone, Copy)]
pub struct BuiltinSource {
    /// The name in the URL.
    pub name: &'static str,
    /// The verifier that it uses.
    pub verifier: &'static str,
    /// The environment variable of its secret.
    pub secret_env: &'static str,
}

/// A driver that the contract format knows and this build does not have: inactive it passes, active it is refused.
#[derive(Debug, Clone, Copy)]
pub struct PlannedDriver {
    /// `serve` or `smash`.
    pub side: &'static str,
    /// The name in a contract.
    pub name: &'static str,
    /// What installs a build that has it, such as "`cargo install …` installs one that does"; `None` where none has it.
    pub install: Option<&'static str>,
}

/// The drivers, verifiers, plugins and built-in sources of a build.
#[derive(Default)]
pub struct Catalog {
    /// Adapters through which events come in.
    pub ingress: Vec<Entry<dyn IngressDriver>>,
    /// Adapters through which events go out.
    pub egress: Vec<Entry<dyn EgressDriver>>,
    /// Signature schemes.
    pub verifiers: Vec<Entry<dyn SourceVerifier>>,
    /// Steps of a plugin chain.
    pub plugins: Vec<Entry<dyn Plugin>>,
    /// Sources that need no block in the contract.
    pub sources: Vec<BuiltinSource>,
    /// Drivers known by name only.
    pub planned: Vec<PlannedDriver>,
}

impl Catalog {
    /// The ingress driver of that name.
    pub fn ingress(&self, name: &str) -> Option<&Entry<dyn IngressDriver>> {
        self.ingress.iter().find(|entry| entry.name == name)
    }

    /// The egress driver of that name.
    pub fn egress(&self, name: &str) -> Option<&Entry<dyn EgressDriver>> {
        self.egress.iter().find(|entry| entry.name == name)
    }

    /// The verifier of that name.
    pub fn verifier(&self, name: &str) -> Option<&Entry<dyn SourceVerifier>> {
        self.verifiers.iter().find(|entry| entry.name == name)
    }

    /// The plugin of that name.
    pub fn plugin(&self, name: &str) -> Option<&Entry<dyn Plugin>> {
        self.plugins.iter().find(|entry| entry.name == name)
    }

    /// The built-in source of that name.
    pub fn source(&self, name: &str) -> Option<&BuiltinSource> {
        self.sources.iter().find(|source| source.name == name)
    }
}

//! The flags that every command takes.

use std::path::PathBuf;

use clap::{
    ColorChoice,
    builder::{PossibleValuesParser, TypedValueParser},
};
use hook_contract::plan::ValidationMode;
use hook_core::names::AppId;

/// The flags that every command takes.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The profile of the contract to use [default: `default`, else the app's own name, else the only one]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,

    /// Use the contract apps/ID/contract.toml
    #[arg(long, global = true, value_name = "ID")]
    pub app: Option<AppId>,

    /// Use this contract
    ///
    /// Without it: `--app`, RELAY_CONTRACT_PATH, ./contract.toml, and at last the contract `default-openclaw` that is
    /// part of this program. The first that is there is used.
    #[arg(long, global = true, value_name = "PATH")]
    pub contract: Option<PathBuf>,

    /// Read how Kafka is reached from this file [default: config/kafka-core.toml, where there is one]
    ///
    /// Its table `[kafka_core]` has the keys of `[backbone]` with `driver = "kafka"`. What the contract or the environment
    /// says comes first.
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,

    /// Read environment values from this file; may be repeated, a later file wins [default: ./.env]
    #[arg(long = "env-file", global = true, value_name = "PATH")]
    pub env_files: Vec<PathBuf>,

    /// Go on in spite of problems that are not security-critical
    #[arg(long, global = true)]
    pub force: bool,

    /// Write for programs: JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,

    /// How strict to be: in debug mode only security-critical problems stop the start
    #[arg(long, global = true, value_name = "MODE", value_parser = validation_mode())]
    pub validation_mode: Option<ValidationMode>,

    /// When to use colours; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

fn validation_mode() -> impl TypedValueParser<Value = ValidationMode> {
    PossibleValuesParser::new(["strict", "debug"]).map(|mode| match mode.as_str() {
        "debug" => ValidationMode::Debug,
        _ => ValidationMode::Strict,
    })
}

//! `hook log migrate`: from the embedded log to Kafka, with nothing left behind and nothing twice.
//!
//! ```text
//!   survey ──▶ carry, remember copies ──▶ read back and compare ──▶ make cursors, compare ──▶ mark the directory
//!              ▲ one transaction a part                             ▲ before them, nothing on the cluster reads
//! ```
//!
//! | module | says |
//! |---|---|
//! | `source` | what goes along, and what each cursor has done of it |
//! | `target` | what is there, and where cursors begin |
//! | `tally` | counts and checksums |
//! | `carry` | the steps |
//! | `topics` | what a dry run finds in the way of it |
//! | `report` | what is said at the end |

#[cfg(feature = "kafka")]
mod carry;
#[cfg(feature = "kafka")]
mod report;
#[cfg(feature = "kafka")]
mod source;
#[cfg(feature = "kafka")]
mod tally;
#[cfg(feature = "kafka")]
mod target;
#[cfg(feature = "kafka")]
mod topics;

use crate::{
    context::Context,
    data_directory::Flag,
    exit::Exit,
    kafka,
    owner::{self, fail},
};

/// Move from the embedded log in the data directory to the Kafka of the contract
///
/// Carries what destinations and the relay have not got yet, the dead letters, and the place of every cursor, so that
/// what was delivered is not delivered again; and, for sources that the relay bridges, by what copies of the last 24 hours are
/// told. Then reads all of it back and compares. The journal stays. No pipeline may run, here or on that Kafka. Interrupted at
/// any moment, the same command goes on from there.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to. Which cluster that is, the contract says, or the environment
    #[arg(long, value_name = "LOG")]
    to: To,
    /// Only say what would be carried, and whether the topics can take it
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
}

/// The log to move to.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum To {
    /// Apache Kafka
    Kafka,
}

/// Looks, asks, carries and compares.
pub async fn run(context: &Context, flag: &Flag, arguments: &Arguments) -> Result<(), Exit> {
    let To::Kafka = arguments.to;
    let located = owner::locate(context, flag)?;
    if kafka::of(&located.plan).is_none() {
        return Err(fail(
            context,
            "the log of the contract is the embedded one: write `driver = \"kafka\"` and `brokers` under [backbone], or set \
             KAFKA_BROKERS, and run it again",
        ));
    }
    owner::must_exist(context, &located.directory)?;
    // A contract that asks for Kafka where the build lacks it was refused when it was read.
    #[cfg(feature = "kafka")]
    return carry::run(context, located, arguments).await;
    #[cfg(not(feature = "kafka"))]
    Err(fail(context, "this build has no Kafka"))
}

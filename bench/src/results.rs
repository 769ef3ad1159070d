//! Every measurement, one after the other, into one page.

use std::path::PathBuf;

use hook_bench::error::Error;
use hook_core::Timestamp;
use serde::Serialize;

use crate::{
    cases::{outage, poison, scaling},
    machine::Machine,
    report::Report,
    table,
};

/// Options of all measurements together.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How long a destination is away
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// A short form of everything: to see that it works, not to compare
    #[arg(long)]
    quick: bool,
    /// Where data directories are made [default: the system's directory for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the page into this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

/// What was found, or why there is no result. One that fails leaves the others as they are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found<T> {
    Measured(T),
    NoResult(String),
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    machine: Machine,
    measured_at: String,
    is_quick: bool,
    table: Found<Report>,
    scaling: Found<scaling::Scaling>,
    outage: Found<outage::Outage>,
    poison: Found<poison::Poison>,
}

pub(crate) async fn measure(options: &Options) -> Results {
    let common = crate::cases::options::Common::new(options.quick, options.dir.clone());
    Results {
        machine: Machine::this(),
        measured_at: Timestamp::now().strftime("%F").to_string(),
        is_quick: options.quick,
        table: Found::of(table::all(&table::Options::new(&common)).await),
        scaling: Found::of(scaling::measure(&scaling::Options::new(&common)).await),
        outage: Found::of(outage::measure(&outage::Options::new(&common, options.minutes)).await),
        poison: Found::of(poison::measure(&poison::Options::new(&common)).await),
    }
}

impl<T> Found<T> {
    fn of(measured: Result<T, Error>) -> Self {
        match measured {
            Ok(found) => Self::Measured(found),
            Err(error) => Self::NoResult(error.to_string()),
        }
    }

    fn show(&self, title: &str, show: impl FnOnce(&T) -> String) -> String {
        let text = match self {
            Self::Measured(found) => show(found),
            Self::NoResult(reason) => format!("No result: {reason}.\n"),
        };
        format!("\n## {title}\n\n{text}")
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::NoResult(_))
    }
}

impl Results {
    /// Whether something could not be measured.
    pub(crate) fn are_incomplete(&self) -> bool {
        let Self { table, scaling, outage, poison, .. } = self;
        table.is_missing() || scaling.is_missing() || outage.is_missing() || poison.is_missing()
    }

    /// The page.
    pub(crate) fn to_markdown(&self) -> String {
        let short = if self.is_quick { " --quick" } else { "" };
        let Self { machine, measured_at, .. } = self;
        let head = format!(
            "# Results\n\nWritten by `cargo run --release -p hook-bench -- results{short} --write docs/benchmarks/results.md` on \
             {measured_at}:\n{machine}.\n\"Other work\" is what else ran on the machine in the measured time; where it is not near zero, \
             times and rates say little, ratios and processor time more.\n"
        );
        let sections = [
            self.table.show("The table", Report::to_markdown),
            self.scaling.show("Scaling", scaling::Scaling::to_markdown),
            self.outage.show("Outage", outage::Outage::to_markdown),
            self.poison.show("Poison", poison::Poison::to_markdown),
        ];
        head + &sections.concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_measured_says_why() {
        let found: Found<()> = Found::of(Err(Error::Unexpected("it was lost".to_owned())));
        assert!(found.is_missing());
        assert_eq!(found.show("Case", |()| "figures".to_owned()), "\n## Case\n\nNo result: it was lost.\n");
        assert_eq!(Found::of(Ok(())).show("Case", |()| "figures".to_owned()), "\n## Case\n\nfigures");
    }
}

//! The corpus, and what the inspection makes of it. Shared by the test of the bounds and by the example that prints the figures.

#![allow(dead_code, reason = "the test needs less of it than the example")]

use std::{collections::BTreeMap, fmt::Write as _};

use hook_sanitize::{Class, inspect_text};
use serde::Deserialize;
use serde_json::{Value, json};

/// A text with what is known of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Sample {
    /// Names it.
    pub(crate) id: String,
    /// `injection` or `benign`.
    pub(crate) label: String,
    /// What kind of text it is.
    #[serde(default)]
    pub(crate) class: String,
    /// Its language.
    #[serde(default)]
    pub(crate) lang: String,
    /// How it is written: `plain`, or disguised in some way.
    #[serde(default)]
    pub(crate) form: String,
    /// `tune`, or `held_out`: not looked at while the rules are changed.
    #[serde(default)]
    pub(crate) split: String,
    /// The text.
    pub(crate) text: String,
}

impl Sample {
    /// The flags that it gets; its length is no finding.
    pub(crate) fn found(&self) -> Vec<&'static str> {
        inspect_text(&self.text).classes().filter(|class| *class != Class::TooLong).map(Class::flag).collect()
    }

    /// Whether it is an injection.
    pub(crate) fn is_injection(&self) -> bool {
        self.label == "injection"
    }

    /// Whether an injection is passed over, or a benign text flagged.
    pub(crate) fn is_wrong(&self) -> bool {
        self.is_injection() == self.found().is_empty()
    }
}

/// The corpus of the repository.
pub(crate) fn own() -> Vec<Sample> {
    let files = [include_str!("../../corpus/injections.jsonl"), include_str!("../../corpus/benign.jsonl")];
    files.iter().flat_map(|text| read(text)).collect()
}

/// Texts that were written without a look at the rules.
pub(crate) fn independent() -> Vec<Sample> {
    read(include_str!("../../corpus/independent.jsonl"))
}

/// All corpora, by the names of their files.
pub(crate) fn all() -> Vec<(&'static str, Vec<Sample>)> {
    vec![
        ("injections, benign", own()),
        ("independent", independent()),
        ("places", read(include_str!("../../corpus/places.jsonl"))),
        ("close", read(include_str!("../../corpus/close.jsonl"))),
        ("pages", read(include_str!("../../corpus/pages.jsonl"))),
    ]
}

/// The samples of a text, one a line.
pub(crate) fn read(text: &str) -> Vec<Sample> {
    text.lines().map(|line| serde_json::from_str(line).expect("a sample is a line of JSON")).collect()
}

/// The text of a file.
pub(crate) fn text_of(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// How many there are, and how many of them are flagged.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    /// All.
    pub(crate) all: usize,
    /// Those with a flag.
    pub(crate) flagged: usize,
}

impl Count {
    /// The flagged ones, from 0 to 1.
    pub(crate) fn share(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a corpus is small")]
        match self.all {
            0 => 0.0,
            all => self.flagged as f64 / all as f64,
        }
    }
}

/// What the inspection makes of a corpus.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// By split, label, and what is grouped by.
    counts: BTreeMap<(String, String, String), Count>,
}

impl Figures {
    /// Inspects every sample.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let mut figures = Self::default();
        for sample in samples {
            let is_flagged = !sample.found().is_empty();
            let groups = [
                "all".to_owned(),
                format!("class {}", sample.class),
                format!("language {}", sample.lang),
                format!("form {}", sample.form),
            ];
            for split in ["all", sample.split.as_str()] {
                for group in &groups {
                    let key = (split.to_owned(), sample.label.clone(), group.clone());
                    let count = figures.counts.entry(key).or_default();
                    count.all += 1;
                    count.flagged += usize::from(is_flagged);
                }
            }
        }
        figures
    }

    /// One figure.
    pub(crate) fn count(&self, split: &str, label: &str, group: &str) -> Count {
        let key = (split.to_owned(), label.to_owned(), group.to_owned());
        self.counts.get(&key).copied().unwrap_or_default()
    }

    /// Of what is flagged, the share that is an injection.
    pub(crate) fn precision(&self, split: &str) -> f64 {
        let [right, wrong] = ["injection", "benign"].map(|label| self.count(split, label, "all").flagged);
        Count { all: right + wrong, flagged: right }.share()
    }

    /// As a table.
    pub(crate) fn to_table(&self) -> String {
        let mut table = String::from("| | all | tuned on | held out |\n|---|---|---|---|\n");
        let splits = ["all", "tune", "held_out"];
        let row = |table: &mut String, name: &str, cells: [String; 3]| {
            let _ = writeln!(table, "| {name} | {} |", cells.join(" | "));
        };
        row(&mut table, "precision", splits.map(|split| format!("{:.1} %", self.precision(split) * 100.0)));
        let mut groups: Vec<_> = self.counts.keys().filter(|(split, ..)| split == "all").collect();
        groups.sort_by_key(|(_, label, group)| (label == "benign", group != "all", group.clone()));
        for (_, label, group) in groups {
            let name = if label == "injection" { "recall" } else { "false flags" };
            let cells = splits.map(|split| {
                let count = self.count(split, label, group);
                match count.all {
                    0 => "–".to_owned(),
                    all => format!("{:.1} % of {all}", count.share() * 100.0),
                }
            });
            row(&mut table, &format!("{name}, {group}"), cells);
        }
        table
    }

    /// What is found of each part, as cells of a table.
    pub(crate) fn to_row(&self) -> String {
        let cell = |label: &str, split: &str| {
            let count = self.count(split, label, "all");
            if count.all == 0 { "–".to_owned() } else { format!("{:.1} % of {}", count.share() * 100.0, count.all) }
        };
        let cells =
            ["injection", "benign"].map(|label| ["tune", "held_out"].map(|split| cell(label, split)).join(" | "));
        cells.join(" | ")
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Value {
        let splits = ["all", "tune", "held_out"].map(|split| {
            let groups = |label: &str| {
                let keys = self.counts.keys().filter(|(of, which, _)| of == split && which == label);
                let groups = keys.map(|(_, _, group)| {
                    let count = self.count(split, label, group);
                    (group.clone(), json!({ "all": count.all, "flagged": count.flagged, "share": count.share() }))
                });
                groups.collect::<serde_json::Map<_, _>>()
            };
            let value = json!({ "precision": self.precision(split), "recall": groups("injection"), "false_flags": groups("benign") });
            (split.to_owned(), value)
        });
        Value::Object(splits.into_iter().collect())
    }
}

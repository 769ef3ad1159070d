//! Learns the weights of `src/learned/weights.txt` from the corpora: `cargo run --release -p hook-sanitize --example train`.
//!
//! The held-out parts are not read. Before it writes the weights it prints what they are worth: for each corpus, what weights find
//! that were learned from the others alone. Equal texts and lists of words give equal weights, to the byte. `--check` writes nothing.
#![allow(clippy::print_stdout, reason = "this is a command")]

mod figures;
mod logistic;

#[path = "../../tests/corpus/mod.rs"]
mod corpus;

use std::path::Path;

use corpus::Sample;
use hook_sanitize::{Class, inspect_text, learned};
use logistic::{Example, Model, train};

/// Of benign texts, so many in a thousand may be flagged by nothing else, where the weights were learned from others.
const FALSE_FLAGS: usize = 5;
/// The parts of the examples that are left out in turn to find the threshold.
const FOLDS: usize = 5;

fn main() {
    let mut examples = Vec::new();
    for (at, (_, samples)) in corpus::all().into_iter().enumerate() {
        examples.extend(samples.iter().filter(|sample| sample.split != "held_out").map(|sample| example(sample, at)));
    }
    println!(
        "| learned without | rules: recall | false flags | weights: recall | false flags | both: recall | false flags |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut together = figures::Figures::default();
    for (at, (name, _)) in corpus::all().iter().enumerate() {
        let (test, rest): (Vec<&Example>, Vec<&Example>) = examples.iter().partition(|example| example.corpus == at);
        let figures = figures::Figures::of(&test, &train(&rest), threshold(&rest));
        println!("| {name} {figures}");
        together.add(&figures);
    }
    println!("| together {together}");
    let all: Vec<&Example> = examples.iter().collect();
    let (model, threshold) = (train(&all), threshold(&all));
    println!("| nothing (not a test) {}", figures::Figures::of(&all, &model, threshold));
    let text = written(&model, threshold);
    println!("{} weights, threshold {threshold:.3}", text.lines().count());
    if !std::env::args().any(|argument| argument == "--check") {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/learned/weights.txt");
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

fn example(sample: &Sample, corpus: usize) -> Example {
    let flags = inspect_text(&sample.text);
    let others = if flags.has(Class::SuspiciousInstruction) {
        // How a text is disguised is said only where something was found in it.
        &[Class::TooLong, Class::SuspiciousInstruction, Class::Obfuscated, Class::EncodedPayload][..]
    } else {
        &[Class::TooLong][..]
    };
    Example {
        corpus,
        is_injection: sample.is_injection(),
        is_known: flags.classes().any(|class| !others.contains(&class)),
        windows: learned::windows(&sample.text),
    }
}

/// What a text has to weigh: few benign texts weigh so much where the weights were learned without them.
fn threshold(examples: &[&Example]) -> f64 {
    let mut benign = Vec::new();
    for fold in 0..FOLDS {
        let part = |is_in: bool| {
            let those = examples.iter().enumerate().filter(move |(at, _)| (at % FOLDS == fold) == is_in);
            those.map(|(_, example)| *example)
        };
        let model = train(&part(false).collect::<Vec<_>>());
        let score = |example: &Example| if example.is_known { f64::MIN } else { model.score(example) };
        benign.extend(part(true).filter(|example| !example.is_injection).map(score));
    }
    benign.sort_by(|a, b| b.total_cmp(a));
    benign[benign.len() * FALSE_FLAGS / 1000] + 1e-6
}

/// The weights as whole numbers, with what is needed taken off the bias: a window is found where its sum is not below zero.
fn written(model: &Model, threshold: f64) -> String {
    let whole = |value: f64| {
        #[allow(clippy::cast_possible_truncation, reason = "weights are small")]
        let whole = (value * f64::from(learned::UNIT)).round() as i16;
        whole
    };
    let bias = model.bias - threshold;
    let telling: Vec<String> = model.telling.iter().map(|feature| feature.name()).collect();
    let mut text = format!(
        "# Written by `cargo run --release -p hook-sanitize --example train`. A line is a weight, in {}ths: A of a meaning, ^A of\n\
         # one that a clause begins with, !A of one that is denied, ~A of one anywhere in the text, A B of two, @a of a setting.\n\
         # A window is weighed where it has so many of the telling meanings as are needed.\n\
         # of {}\ntelling {}\nneeded {}\nbias {}\n",
        learned::UNIT,
        learned::meanings(),
        telling.join(" "),
        model.needed,
        whole(bias),
    );
    let mut lines: Vec<(String, i16)> =
        model.weights.iter().map(|(feature, weight)| (feature.name(), whole(*weight))).collect();
    lines.sort();
    for (name, weight) in lines.into_iter().filter(|(_, weight)| *weight != 0) {
        text.push_str(&format!("{name} {weight}\n"));
    }
    text
}

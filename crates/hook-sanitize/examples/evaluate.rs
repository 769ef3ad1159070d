//! Measures what the inspection finds in a corpus: `cargo run --release -p hook-sanitize --example evaluate`.
//!
//! Without a file's name it also prints a line for each corpus. `--json` prints figures for a program, `--misses` the texts of the tuning part that are judged wrongly, and a file's name takes
//! another corpus of the same form. The held-out part is never printed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

#[path = "../tests/corpus/mod.rs"]
mod corpus;

use corpus::{Figures, read, text_of};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let files: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let samples = match files.is_empty() {
        true => corpus::own(),
        false => files.iter().flat_map(|file| read(&text_of(file))).collect(),
    };
    let figures = Figures::of(&samples);
    match has("--json") {
        true => println!("{:#}", figures.to_json()),
        false => print!("{}", figures.to_table()),
    }
    if files.is_empty() && !has("--json") {
        println!(
            "\n| | recall, tuned on | recall, held out | false flags, tuned on | false flags, held out |\n|---|---|---|---|---|"
        );
        for (name, samples) in corpus::all() {
            println!("| {name} | {} |", Figures::of(&samples).to_row());
        }
    }
    if has("--misses") {
        for sample in samples.iter().filter(|sample| sample.split != "held_out" && sample.is_wrong()) {
            println!(
                "{} {} {} {}: {:?} {:?}",
                sample.id,
                sample.class,
                sample.lang,
                sample.form,
                sample.found(),
                sample.text
            );
        }
    }
}

//! What weights find in texts that they were not learned from.

use std::fmt;

use crate::logistic::{Example, Model};

/// How many there are, and how many the rules, the weights and both together flag.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    all: usize,
    rules: usize,
    weights: usize,
    both: usize,
}

/// Injections and benign texts.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Figures([Count; 2]);

impl Figures {
    /// Counts what is flagged.
    pub(crate) fn of(examples: &[&Example], model: &Model, threshold: f64) -> Self {
        let mut figures = Self::default();
        for example in examples {
            let is_heavy = model.score(example) >= threshold;
            let count = &mut figures.0[usize::from(!example.is_injection)];
            count.all += 1;
            count.rules += usize::from(example.is_known);
            count.weights += usize::from(is_heavy);
            count.both += usize::from(is_heavy || example.is_known);
        }
        figures
    }

    /// Adds those of another corpus.
    pub(crate) fn add(&mut self, other: &Self) {
        for (to, from) in self.0.iter_mut().zip(other.0) {
            to.all += from.all;
            to.rules += from.rules;
            to.weights += from.weights;
            to.both += from.both;
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [injections, benign] = self.0;
        write!(out, "({} and {})", injections.all, benign.all)?;
        for part in [|count: Count| count.rules, |count: Count| count.weights, |count: Count| count.both] {
            for count in [injections, benign] {
                #[allow(clippy::cast_precision_loss, reason = "a corpus is small")]
                let share = part(count) as f64 * 100.0 / count.all.max(1) as f64;
                write!(out, " | {share:.1} %")?;
            }
        }
        out.write_str(" |")
    }
}

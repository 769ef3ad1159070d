//! Logistic regression over windows: a text is as likely to be an injection as its likeliest window.

use std::collections::{BTreeMap, BTreeSet};

use hook_sanitize::learned::Feature;

/// A text to learn from.
pub(crate) struct Example {
    /// Which corpus it is of.
    pub(crate) corpus: usize,
    pub(crate) is_injection: bool,
    /// Whether a rule finds it.
    pub(crate) is_known: bool,
    pub(crate) windows: Vec<Vec<Feature>>,
}

/// A feature of fewer texts is left out.
const RAREST: usize = 4;
/// How strongly weights are drawn to nothing: by their square, ...
const SQUARED: f64 = 0.001;
/// ... and by their size, which makes most of them nothing.
const ABSOLUTE: f64 = 0.0002;
/// How much more the likeliest window counts than the others.
const SHARPNESS: f64 = 2.0;
const ROUNDS: i32 = 150;
const STEP: f64 = 0.05;
/// So many times as frequent in injections makes a meaning telling.
const TELLING: f64 = 2.0;
/// So many in a thousand of the injections that are found may be lost by what a window needs.
const FEW: usize = 20;

/// What was learned.
pub(crate) struct Model {
    pub(crate) bias: f64,
    pub(crate) weights: BTreeMap<Feature, f64>,
    /// Meanings that are frequent in injections and rare elsewhere, ...
    pub(crate) telling: BTreeSet<Feature>,
    /// ... and how many of them a window needs to be weighed at all: that spares most windows of everyday text.
    pub(crate) needed: usize,
}

impl Model {
    /// The weight of the heaviest window; a text without one weighs nothing that matters.
    pub(crate) fn score(&self, example: &Example) -> f64 {
        let weighed = example.windows.iter().filter(|window| self.count(window) >= self.needed);
        weighed.map(|window| self.window(window)).fold(-100.0, f64::max)
    }

    fn count(&self, window: &[Feature]) -> usize {
        window.iter().filter(|feature| self.telling.contains(feature)).count()
    }

    /// Finds which meanings are telling, and how many of them nearly all injections have.
    fn with_telling(mut self, examples: &[&Example]) -> Self {
        let found: Vec<&Vec<Feature>> = examples.iter().filter_map(|example| self.found(example)).collect();
        let benign: Vec<&Vec<Feature>> =
            examples.iter().filter(|example| !example.is_injection).flat_map(|example| &example.windows).collect();
        #[allow(clippy::cast_precision_loss, reason = "a corpus is small")]
        let share = |windows: &[&Vec<Feature>], feature: Feature| {
            let having = windows.iter().filter(|window| window.contains(&feature)).count();
            (having as f64 + 0.5) / (windows.len() as f64 + 1.0)
        };
        let is_telling = |feature: &Feature| {
            matches!(feature, Feature::Alone(_)) && share(&found, *feature) >= TELLING * share(&benign, *feature)
        };
        self.telling = self.weights.keys().copied().filter(is_telling).collect();
        let mut counts: Vec<usize> = found.iter().map(|window| self.count(window)).collect();
        counts.sort_unstable();
        self.needed = counts.get(counts.len() * FEW / 1000).copied().unwrap_or_default();
        self
    }

    /// The window by which an injection is found.
    fn found<'e>(&self, example: &'e Example) -> Option<&'e Vec<Feature>> {
        let windows = example.windows.iter().filter(|window| example.is_injection && self.window(window) >= 1.0);
        windows.max_by(|a, b| self.window(a).total_cmp(&self.window(b)))
    }

    /// The weight of a window.
    pub(crate) fn window(&self, window: &[Feature]) -> f64 {
        self.bias + self.sum(window.iter())
    }

    fn sum<'f>(&self, features: impl Iterator<Item = &'f Feature>) -> f64 {
        features.map(|feature| self.weights.get(feature).copied().unwrap_or_default()).sum()
    }
}

/// How much a feature counts while weights are found: the less, the more has to speak for a weight.
fn size(feature: Feature) -> f64 {
    match feature {
        Feature::Pair(..) | Feature::Opens(..) => 0.5,
        Feature::Anywhere(_) => 0.4,
        _ => 1.0,
    }
}

/// Finds the weights, always the same for the same examples.
pub(crate) fn train(examples: &[&Example]) -> Model {
    let features = frequent(examples);
    let index: BTreeMap<Feature, usize> = features.iter().enumerate().map(|(at, feature)| (*feature, at)).collect();
    let known = |window: &Vec<Feature>| -> Vec<(usize, f64)> {
        window.iter().filter_map(|feature| Some((*index.get(feature)?, size(*feature)))).collect()
    };
    let texts: Vec<Text> = examples
        .iter()
        .filter(|example| !example.windows.is_empty())
        .map(|example| Text {
            is_injection: example.is_injection,
            windows: example.windows.iter().map(known).collect(),
        })
        .collect();
    let weights = descend(&texts, features.len());
    let bias = weights[features.len()];
    let of = |(feature, weight): (&Feature, f64)| (*feature, weight * size(*feature));
    let weights = features.iter().zip(weights).map(of).filter(|(_, weight)| *weight != 0.0).collect();
    Model { bias, weights, telling: BTreeSet::new(), needed: 0 }.with_telling(examples)
}

fn frequent(examples: &[&Example]) -> Vec<Feature> {
    let mut counts: BTreeMap<Feature, usize> = BTreeMap::new();
    for example in examples {
        let mut features = example.windows.concat();
        features.sort_unstable();
        features.dedup();
        for feature in features {
            *counts.entry(feature).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count >= RAREST).map(|(feature, _)| feature).collect()
}

struct Text {
    is_injection: bool,
    windows: Vec<Vec<(usize, f64)>>,
}

/// Gradient descent with a step of its own for every weight (Adam). The last weight is the bias.
fn descend(texts: &[Text], size: usize) -> Vec<f64> {
    let mut weights = vec![0.0; size + 1];
    weights[size] = -1.0;
    let (mut means, mut squares) = (vec![0.0; size + 1], vec![0.0; size + 1]);
    for round in 1..=ROUNDS {
        let mut slopes = slopes(texts, &weights);
        let step = STEP * (1.0 - f64::from(round) / f64::from(ROUNDS + 1));
        for (at, slope) in slopes.iter_mut().enumerate() {
            let before = weights[at];
            let is_bias = at == size;
            if !is_bias {
                *slope += SQUARED * before;
                *slope += if before == 0.0 { -slope.clamp(-ABSOLUTE, ABSOLUTE) } else { ABSOLUTE * before.signum() };
            }
            means[at] = 0.9 * means[at] + 0.1 * *slope;
            squares[at] = 0.999 * squares[at] + 0.001 * *slope * *slope;
            let mean = means[at] / (1.0 - 0.9f64.powi(round));
            let square: f64 = squares[at] / (1.0 - 0.999f64.powi(round));
            weights[at] -= step * mean / (square.sqrt() + 1e-9);
            // A weight that would change its sign stays at nothing for a while.
            if !is_bias && before * weights[at] < 0.0 {
                (weights[at], means[at]) = (0.0, 0.0);
            }
        }
    }
    weights
}

/// How the error changes with each weight. Injections count as much as all benign texts together.
fn slopes(texts: &[Text], weights: &[f64]) -> Vec<f64> {
    let bias = weights.len() - 1;
    #[allow(clippy::cast_precision_loss, reason = "a corpus is small")]
    let share =
        |is_injection: bool| 0.5 / texts.iter().filter(|text| text.is_injection == is_injection).count().max(1) as f64;
    let (of_injection, of_benign) = (share(true), share(false));
    let mut slopes = vec![0.0; weights.len()];
    for text in texts {
        let sum = |window: &Vec<(usize, f64)>| -> f64 { window.iter().map(|(at, size)| weights[*at] * size).sum() };
        let scores: Vec<f64> = text.windows.iter().map(|window| weights[bias] + sum(window)).collect();
        let highest = scores.iter().copied().fold(f64::MIN, f64::max);
        let parts: Vec<f64> = scores.iter().map(|score| (SHARPNESS * (score - highest)).exp()).collect();
        let all: f64 = parts.iter().sum();
        let likely = 1.0 / (1.0 + (-(highest + all.ln() / SHARPNESS)).exp());
        let error = if text.is_injection { (likely - 1.0) * of_injection } else { likely * of_benign };
        for (window, part) in text.windows.iter().zip(&parts) {
            let slope = error * part / all;
            slopes[bias] += slope;
            for (at, size) in window {
                slopes[*at] += slope * size;
            }
        }
    }
    slopes
}

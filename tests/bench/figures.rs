//! How figures are taken: contenders take turns, and each figure is the median of its rounds, with its spread.

use anyhow::Result;
use serde::Serialize;

/// The middle of some rounds, and the least and the greatest of them.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
    pub(crate) rounds: usize,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let rounds = values.len();
        Self { median: values[rounds / 2], least: values[0], greatest: values[rounds - 1], rounds }
    }

    /// The same without the tenth at either end, where rounds are many and short.
    pub(crate) fn without_outliers(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let tenth = values.len() / 10;
        let kept = values[tenth..values.len() - tenth].to_vec();
        Self { rounds: values.len(), ..Self::of(kept) }
    }
}

/// One turn after the other, round by round; gives the values of each contender, by round.
pub(crate) fn interleaved(
    rounds: usize,
    contenders: usize,
    mut turn: impl FnMut(usize) -> Result<f64>,
) -> Result<Vec<Vec<f64>>> {
    let mut values = vec![Vec::with_capacity(rounds); contenders];
    for _ in 0..rounds {
        for (number, values) in values.iter_mut().enumerate() {
            values.push(turn(number)?);
        }
    }
    Ok(values)
}

/// What each round of the one is above the same round of the other.
pub(crate) fn added(values: &[f64], base: &[f64]) -> Vec<f64> {
    values.iter().zip(base).map(|(value, base)| value - base).collect()
}

//! Properties over random cases: another seed every time; a failure prints it, and `PROPTEST_RNG_SEED` repeats it.

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseResult, TestRunner};
use std::hash::{BuildHasher as _, RandomState};

/// Runs a property.
pub(crate) fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> TestCaseResult) {
    let given = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    };
    if let Err(error) = TestRunner::new(config).run(strategy, test) {
        panic!("PROPTEST_RNG_SEED={seed}: {error}");
    }
}

/// Runs a property, and runs it again while that has not met everything that it must have met: what is rare comes in whole
/// policies, so that how often it comes varies widely. What is still missing at the end is the caller's to complain of.
pub(crate) fn run_until<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> TestCaseResult,
    met: impl Fn() -> bool,
) {
    for _ in 0..16 {
        run(cases, strategy, &test);
        if met() {
            return;
        }
    }
}

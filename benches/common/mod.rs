//! Shared parts of the benchmarks: prepared stores, the measured calls, bare loops to compare with,
//! and output.
#![allow(dead_code, unreachable_pub, reason = "each benchmark uses a part of it")]

pub mod bare;
pub mod calls;
pub mod resources;
pub mod sample;
pub mod stores;
pub mod table;
pub mod times;

use std::time::Duration;

use criterion::Criterion;

/// Reports whether the benchmark only checks that it works, as in CI.
pub fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// Returns the numbers of items per process.
pub fn sizes() -> &'static [usize] {
    if is_test() { &[100] } else { &[100, 10_000, 1_000_000] }
}

/// Reads a number from the environment.
pub fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The main function of a benchmark: measures, unless this program was started to build a store.
pub fn main(measure: impl FnOnce()) {
    if !stores::build_if_told() {
        measure();
    }
}

/// The main function of a criterion benchmark.
pub fn criterion_main(groups: fn()) {
    main(|| {
        groups();
        Criterion::default().configure_from_args().final_summary();
    });
}

/// Returns the settings of every suite.
pub fn criterion() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

//! Chance that can be repeated.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Names the seed of a run that is to be repeated.
const VARIABLE: &str = "PORCHLIGHT_TEST_SEED";

/// The chance of one test. When the test fails, it says with which seed.
pub struct Chance {
    seed: u64,
    rng: StdRng,
}

impl Chance {
    /// A new seed, or the one that is asked for.
    pub fn new() -> Self {
        let asked = std::env::var(VARIABLE).ok();
        let seed = asked.map_or_else(rand::random, |seed| seed.parse().expect("a number"));
        Self::of_seed(seed)
    }

    pub fn of_seed(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { seed, rng }
    }

    pub fn of<'a, T>(&mut self, these: &'a [T]) -> &'a T {
        &these[self.below(these.len())]
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n)
    }

    /// `count` numbers below `n`, in order.
    pub fn sorted(&mut self, count: usize, n: usize) -> Vec<usize> {
        let mut numbers: Vec<_> = (0..count).map(|_| self.below(n)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Chance for a task of its own, so that tasks do not disturb each other's.
    pub fn fork(&mut self) -> Self {
        let rng = StdRng::seed_from_u64(self.rng.random());
        Self { rng, ..*self }
    }
}

impl Drop for Chance {
    #[expect(clippy::print_stderr, reason = "shown with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat it: {VARIABLE}={}", self.seed);
        }
    }
}

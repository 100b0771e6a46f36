//! Signals against a model: whatever happens, streams believe what is true.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    SignalStart,
    Stop,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::SignalStart),
        1 => Just(Step::Stop),
        4 => (1_u64..400).prop_map(Step::Pass),
        1 => (400_u64..7_000).prop_map(Step::Pass),
    ]
}

const JITTER_MS: u64 = 50;

/// The same, as simply as it can be said: what goes on, and what the streams believe.
#[derive(Default)]
struct Model {
    renewed: Option<u64>,
    believed: bool,
    told_at: Vec<u64>,
}

impl Model {
    /// Over any time, it is told once a second at the most.
    fn check_pauses(&self) {
        for (n, first) in self.told_at.iter().enumerate() {
            for (at, seconds) in self.told_at[n..].iter().zip(0..) {
                assert!(at - first + 2 * JITTER_MS >= seconds * 1_000);
            }
        }
    }

    fn check(&mut self, told: &[(u64, SignalState)], now: u64) {
        for &(at, news) in told {
            match news {
                SignalState::Goes(ends_in) => {
                    let ends_at = self.renewed.unwrap() + 6_000;
                    assert_eq!(Duration::from_millis(ends_at - at), ends_in);
                    self.believed = true;
                    self.told_at.push(at);
                }
                SignalState::Over(_) => {
                    assert!(self.believed, "over twice");
                    assert!(self.renewed.is_none(), "over too early");
                    self.believed = false;
                }
            }
        }
        let is_held = self
            .told_at
            .last()
            .is_some_and(|at| now < at + 1_000 + JITTER_MS);
        match self.renewed {
            None => assert!(!self.believed, "over too late"),
            Some(_) => assert!(self.believed || is_held, "told too late"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn streams_always_believe_what_is_true(steps in prop::collection::vec(step(), 1..200)) {
        let mut here = Instance::new(Instant::now());
        let (mut model, mut now) = (Model::default(), 0);
        for step in steps.into_iter().chain([Step::Pass(7_000)]) {
            match step {
                Step::SignalStart => {
                    model.renewed = Some(now);
                    here.start(&["a"]);
                }
                Step::Stop => {
                    model.renewed = None;
                    here.stop();
                }
                Step::Pass(ms) => {
                    for _ in 0..ms {
                        now += 1;
                        model.renewed = model.renewed.filter(|at| now < at + 6_000);
                        here.at(now);
                        model.check(&here.told(), now);
                    }
                }
            }
            model.check(&here.told(), now);
        }
        model.check_pauses();
        assert!(!model.believed && here.active.is_empty() && here.active.due.is_empty());
    }
}

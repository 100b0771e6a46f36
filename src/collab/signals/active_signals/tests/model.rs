//! Signals against a model: whatever happens, streams show what is true.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum SignalStep {
    Start,
    Stop,
    Pass(u64),
}

fn step() -> impl Strategy<Value = SignalStep> {
    prop_oneof![
        3 => Just(SignalStep::Start),
        1 => Just(SignalStep::Stop),
        4 => (1_u64..400).prop_map(SignalStep::Pass),
        1 => (400_u64..7_000).prop_map(SignalStep::Pass),
    ]
}

const JITTER_MS: u64 = 50;

/// The simplest description: when the signal was renewed, and whether streams show it.
#[derive(Default)]
struct Model {
    renewed: Option<u64>,
    is_shown: bool,
    published_at: Vec<u64>,
}

impl Model {
    /// Over any time, it is published at most once a second.
    fn check_pauses(&self) {
        for (n, first) in self.published_at.iter().enumerate() {
            for (at, seconds) in self.published_at[n..].iter().zip(0..) {
                assert!(at - first + 2 * JITTER_MS >= seconds * 1_000);
            }
        }
    }

    fn check(&mut self, published: &[(u64, SignalState)], now: u64) {
        for &(at, state) in published {
            match state {
                SignalState::Active(ends_in) => {
                    let ends_at = self.renewed.unwrap() + 6_000;
                    assert_eq!(Duration::from_millis(ends_at - at), ends_in);
                    self.is_shown = true;
                    self.published_at.push(at);
                }
                SignalState::Ended(_) => {
                    assert!(self.is_shown, "ended twice");
                    assert!(self.renewed.is_none(), "ended too early");
                    self.is_shown = false;
                }
            }
        }
        let is_delayed = self
            .published_at
            .last()
            .is_some_and(|at| now < at + 1_000 + JITTER_MS);
        match self.renewed {
            None => assert!(!self.is_shown, "ended too late"),
            Some(_) => assert!(self.is_shown || is_delayed, "published too late"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn streams_always_show_what_is_true(steps in prop::collection::vec(step(), 1..200)) {
        let mut here = Instance::new(Instant::now());
        let (mut model, mut now) = (Model::default(), 0);
        for step in steps.into_iter().chain([SignalStep::Pass(7_000)]) {
            match step {
                SignalStep::Start => {
                    model.renewed = Some(now);
                    here.start(&["a"]);
                }
                SignalStep::Stop => {
                    model.renewed = None;
                    here.stop();
                }
                SignalStep::Pass(ms) => {
                    for _ in 0..ms {
                        now += 1;
                        model.renewed = model.renewed.filter(|at| now < at + 6_000);
                        here.at(now);
                        model.check(&here.published(), now);
                    }
                }
            }
            model.check(&here.published(), now);
        }
        model.check_pauses();
        assert!(!model.is_shown && here.active.is_empty() && here.active.due.is_empty());
    }
}

//! Properties of presence groups: whatever order signs arrive in, all instances compute the same
//! state, and people are present exactly as long as the rules say.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::group::{PresenceChange, PresenceGroup};
use super::super::moment::Moment;
use super::super::person::PeerLiveness;
use super::super::sign_of_life::{Session, SignOfLife, SignSource, Status};
use super::{GRACE_MS, TIMEOUT_MS, heartbeat, named, now, rules, source, state, teams, user};

const INSTANCES: usize = 3;

#[derive(Clone, Debug)]
enum UserAction {
    Heartbeat(usize, Status),
    Leave(usize),
    Open,
    Close,
}

/// An action at an instance, and the time since the action before.
#[derive(Clone, Debug)]
struct PresenceStep {
    pause_ms: i64,
    by: usize,
    action: UserAction,
}

fn steps() -> impl Strategy<Value = Vec<PresenceStep>> {
    let status = prop_oneof![Just(Status::Online), Just(Status::Away)];
    let action = prop_oneof![
        4 => (0..2_usize, status).prop_map(|(session, status)| UserAction::Heartbeat(session, status)),
        1 => (0..2_usize).prop_map(UserAction::Leave),
        2 => Just(UserAction::Open),
        2 => Just(UserAction::Close),
    ];
    let step =
        (1..2_500_i64, 0..INSTANCES, action).prop_map(|(pause_ms, by, action)| PresenceStep {
            pause_ms,
            by,
            action,
        });
    vec(step, 1..40)
}

fn sign_of(action: &UserAction, at_ms: i64) -> (Session, SignOfLife) {
    let now = Moment::at_ms(at_ms);
    match action {
        UserAction::Heartbeat(session, status) => (named(*session), heartbeat(at_ms, *status)),
        UserAction::Leave(session) => {
            (named(*session), heartbeat(at_ms, Status::Online).ended(now))
        }
        UserAction::Open => (Session::Streams, SignOfLife::of_stream(teams(), now)),
        UserAction::Close => (
            Session::Streams,
            SignOfLife::of_stream(teams(), now).ended(now),
        ),
    }
}

/// A group of each instance, with one user.
struct Instances {
    groups: Vec<PresenceGroup>,
    /// The changes at each instance, and when they were.
    changes: Vec<Vec<(i64, PresenceChange)>>,
    peers: PeerLiveness,
}

impl Instances {
    fn new() -> Self {
        let groups = (0..INSTANCES)
            .map(|_| PresenceGroup::new(rules(), 250))
            .collect();
        Self {
            groups,
            changes: vec![Vec::new(); INSTANCES],
            peers: PeerLiveness::default(),
        }
    }

    fn put(&mut self, at: usize, source: SignSource, sign: SignOfLife, ms: i64) {
        self.groups[at].put(&user(), source, sign);
        self.evaluate(at, ms);
    }

    fn evaluate(&mut self, at: usize, ms: i64) {
        let change = self.groups[at].evaluate(&user(), now(ms), &self.peers);
        self.changes[at].extend(change.map(|change| (ms, change)));
    }

    /// Lets time pass, and evaluates exactly when it is due.
    fn wait(&mut self, from_ms: i64, to_ms: i64) {
        for ms in from_ms..to_ms {
            for at in 0..INSTANCES {
                if !self.groups[at].take_due(Moment::at_ms(ms)).is_empty() {
                    self.evaluate(at, ms);
                }
            }
        }
    }
}

/// A sign on its way to an instance.
struct Delivery {
    arrives_ms: i64,
    by: usize,
    at: usize,
    session: Session,
    sign: SignOfLife,
}

/// Signs of each instance arrive late at the others, but in order.
fn deliveries(steps: &[PresenceStep], delays: &[i64]) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    let mut clock = 0;
    let mut last_arrivals = [[0_i64; INSTANCES]; INSTANCES];
    for (
        PresenceStep {
            pause_ms,
            by,
            action,
        },
        delay,
    ) in steps.iter().zip(delays)
    {
        clock += pause_ms;
        let (session, sign) = sign_of(action, clock);
        for (at, last_arrival) in last_arrivals[*by].iter_mut().enumerate() {
            let arrives = if at == *by { clock } else { clock + delay };
            let arrives_ms = arrives.max(*last_arrival);
            *last_arrival = arrives_ms;
            deliveries.push(Delivery {
                arrives_ms,
                by: *by,
                at,
                session: session.clone(),
                sign: sign.clone(),
            });
        }
    }
    deliveries.sort_by_key(|delivery| delivery.arrives_ms);
    deliveries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// When all signs have arrived, all instances have the same state. When everything has ended,
    /// the user is present nowhere.
    #[test]
    fn all_instances_see_the_same_in_the_end(steps in steps(), delays in vec(0..1_500_i64, 40)) {
        let mut instances = Instances::new();
        let mut ms = 0;
        for Delivery { arrives_ms, by, at, session, sign } in deliveries(&steps, &delays) {
            instances.wait(ms, arrives_ms);
            ms = arrives_ms;
            instances.put(at, source(session, by, at), sign, ms);
        }
        instances.wait(ms, ms + GRACE_MS + 1);
        ms += GRACE_MS + 1;
        (0..INSTANCES).for_each(|at| instances.evaluate(at, ms));
        let first = state(&instances.groups[0]);
        for group in &instances.groups {
            prop_assert_eq!(state(group), first.clone());
        }
        // All instances die, and their streams end.
        for by in 0..INSTANCES {
            instances.peers.gone.insert(format!("i-{by}").into(), Moment::at_ms(ms));
            let ended = SignOfLife::of_stream(teams(), Moment::at_ms(ms)).ended(Moment::at_ms(ms));
            instances.put(by, source(Session::Streams, by, by), ended, ms);
        }
        instances.wait(ms, ms + TIMEOUT_MS + GRACE_MS + 1);
        for group in &instances.groups {
            prop_assert_eq!(state(group), None);
        }
    }

    /// A user with a new sign before the last one and the grace period end is present all the time.
    /// A user without one is not present from then on.
    #[test]
    fn nobody_flickers_and_nobody_stays(
        pauses in vec(1..TIMEOUT_MS + GRACE_MS, 1..20),
        at in vec(0..INSTANCES, 20),
    ) {
        let mut instances = Instances::new();
        let mut ms = 0;
        for (pause, by) in pauses.iter().zip(&at) {
            for to in 0..INSTANCES {
                let source = source(named(0), *by, to);
                instances.put(to, source, heartbeat(ms, Status::Online), ms);
            }
            instances.wait(ms, ms + pause);
            ms += pause;
        }
        let last = ms - pauses.last().unwrap();
        instances.wait(ms, last + TIMEOUT_MS + GRACE_MS + 1);
        for changes in &instances.changes {
            let changes: Vec<_> = changes
                .iter()
                .map(|(ms, change)| (*ms, change.after.is_some()))
                .collect();
            prop_assert_eq!(changes, vec![(0, true), (last + TIMEOUT_MS + GRACE_MS, false)]);
        }
    }
}

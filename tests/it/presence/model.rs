//! Presence against a model: people come, send heartbeats, go and vanish at random, instances are
//! killed and replaced, and their clocks are set. Nobody flickers, no ghost stays, and when it is
//! quiet, every client's picture is right.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{Chance, Token, short_or_long};

mod cluster;
mod history;
mod people;
mod picture;
mod watching;

use cluster::Cluster;
use history::{LAG, TOLERANCE, Times, covers, overlap};
use people::{Facts, Person, Phase};
use watching::{Part, Watcher};

/// The length of a busy time.
const ROUND: Duration = Duration::from_secs(12);

struct World {
    cluster: Arc<Cluster>,
    watchers: Vec<Watcher>,
    people: Vec<(Token, Arc<Mutex<Facts>>)>,
    chance: Chance,
}

impl World {
    async fn start(times: Times, mut chance: Chance) -> (Self, Vec<Person>) {
        let cluster = Arc::new(Cluster::start(times).await);
        for team in ["a", "b"] {
            let event = json!({"type": "escrow:created", "audience": {"team": team},
                "module": "escrows", "recordId": format!("of-{team}"), "data": {}});
            cluster.services[0].publish(&event).await;
        }
        let teams: [&[&str]; 4] = [&["a"], &["b"], &["a", "b"], &[]];
        let person = |user: usize| {
            let token = Token::user(&format!("u-{user}"), teams[user % teams.len()]);
            Person::new(user, token, Arc::clone(&cluster), chance.fork())
        };
        let people: Vec<_> = (0..8).map(person).collect();
        let mut world = Self {
            cluster,
            watchers: Vec::new(),
            people: people
                .iter()
                .map(|p| (p.token.clone(), Arc::clone(&p.facts)))
                .collect(),
            chance,
        };
        for (n, (part, teams, site)) in [
            (Part::All, &["a"][..], 0),
            (Part::All, &["a", "b"], 1),
            (Part::Team("a"), &["a"], 1),
            (Part::Broker, &[], 0),
            (Part::Record, &[], 1),
        ]
        .into_iter()
        .enumerate()
        {
            let token = Token::user(&format!("w-{n}"), teams);
            let watcher = Watcher::start(&world.cluster, part, token, site).await;
            world.watchers.push(watcher);
        }
        (world, people)
    }

    /// Things happen to the instances, and now and then somebody who watches reconnects.
    async fn be_busy(&mut self) {
        let until = tokio::time::Instant::now() + ROUND;
        while tokio::time::Instant::now() < until {
            self.cluster.disturb(&mut self.chance).await;
            if self.chance.below(3) == 0 {
                self.watchers[1].reconnect(self.chance.below(2)).await;
            }
            let pause = 500 + self.chance.below(2_000) as u64;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    fn everybody(&self) -> Vec<(Token, Facts)> {
        let watchers = self.watchers.iter().map(|watcher| {
            let streams = 1;
            let facts = Facts {
                streams,
                ..Facts::default()
            };
            (watcher.token.clone(), facts)
        });
        let people = self.people.iter();
        let facts = |facts: &Mutex<Facts>| facts.lock().expect("no panic").clone();
        people
            .map(|(token, shared)| (token.clone(), facts(shared)))
            .chain(watchers)
            .collect()
    }

    async fn mismatch(&self) -> Option<String> {
        let (doors, everybody) = (self.cluster.doors(), self.everybody());
        for watcher in &self.watchers {
            let wrong = watcher.mismatch(&everybody, &doors).await;
            if wrong.is_some() {
                return wrong;
            }
        }
        None
    }

    /// Every picture, list and snapshot must become right, and stay so.
    async fn must_agree(&self) {
        let history = &self.cluster.history;
        let times = history.times;
        let bound = times.timeout + times.lease() + times.grace + LAG + TOLERANCE;
        let until = history.now() + bound;
        let mut agreed = 0;
        while agreed < 3 {
            let wrong = self.mismatch().await;
            agreed = if wrong.is_none() { agreed + 1 } else { 0 };
            if let Some(wrong) = wrong {
                assert!(history.now() < until, "{}: still, {wrong}", history.now());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Checks everything that the watchers received.
    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for watcher in &self.watchers {
            let picture = watcher.picture();
            let of = |complaint: &String| format!("{:?}: {complaint}", watcher.part);
            complaints.extend(picture.complaints.iter().map(of));
            drop(picture);
            if watcher.part == Part::Record {
                continue;
            }
            for (user, (token, _)) in self.people.iter().enumerate() {
                let is_seen = !matches!(watcher.part, Part::Team(team)
                    if !token.teams.iter().any(|t| t == team));
                if is_seen {
                    self.look_back(watcher, user, &mut complaints);
                }
            }
        }
        complaints
    }

    fn look_back(&self, watcher: &Watcher, user: usize, complaints: &mut Vec<String>) {
        let history = &self.cluster.history;
        let name = &self.people[user].0.user;
        let possible = history.possible(user);
        let certain = [history.certain(user, 0), history.certain(user, 1)];
        let mut was_shown = false;
        let segments = watcher.picture().segments(name, history.now());
        for segment in segments {
            let (certain, span) = (&certain[segment.site], (segment.from, segment.until));
            let wrong = if segment.is_shown {
                (!covers(&possible, span)).then_some("is a ghost")
            } else if was_shown && covers(certain, (segment.from - TOLERANCE, segment.from)) {
                Some("flickers")
            } else {
                (overlap(certain, span) > TOLERANCE).then_some("is not shown")
            };
            if let Some(wrong) = wrong {
                complaints.push(format!(
                    "{:?}: {name} {wrong}: {segment:?}, certain {certain:?}, possible {possible:?}",
                    watcher.part
                ));
            }
            was_shown = segment.is_shown;
        }
    }
}

async fn everybody_sees_who_is_here(times: Times) {
    let (mut world, people) = World::start(times, Chance::new()).await;
    let (phase, _) = watch::channel(Phase::Busy);
    let mut living = JoinSet::new();
    for person in people {
        living.spawn(person.live(phase.subscribe()));
    }
    for _ in 0..short_or_long(1, 4) {
        phase.send_replace(Phase::Busy);
        world.be_busy().await;
        phase.send_replace(Phase::Quiet);
        world.must_agree().await;
    }
    phase.send_replace(Phase::Over);
    while let Some(ended) = living.join_next().await {
        ended.expect("no panic");
    }
    world.cluster.all_stopped().await;
    let complaints = world.complaints();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_short_times_nobody_flickers_and_in_the_end_everybody_sees_who_is_here() {
    let (grace, timeout, drain) = (1_000, 3_000, 2_000);
    everybody_sees_who_is_here(Times {
        grace,
        timeout,
        drain,
    })
    .await;
}

/// A grace so long that whoever comes back elsewhere is certain not to flicker, and heartbeats
/// that count for so long that whoever says goodbye is seen to go much sooner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_longer_times_nobody_flickers_and_in_the_end_everybody_sees_who_is_here() {
    let (grace, timeout, drain) = (4_000, 9_000, 2_000);
    everybody_sees_who_is_here(Times {
        grace,
        timeout,
        drain,
    })
    .await;
}

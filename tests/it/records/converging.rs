//! A client that lists once and then applies events ends with a fresh list, whatever is written
//! meanwhile, by whom, and however often the connection is cut.

mod viewer;
mod writer;

use std::time::Duration;

use porchlight::identity::Role;
use sqlx::PgConnection;
use tokio::time::Instant;

use self::viewer::Viewer;
use self::writer::{by_endpoint, by_sql};
use super::{run, two};
use crate::support::wait::soon;
use crate::support::{Chance, Service, Token, short_or_long};

/// How long each brokerage is written to.
const DURATION: Duration = Duration::from_secs(1);
/// Writers of each, by each way.
const BY_ENDPOINT: usize = 5;
const BY_SQL: usize = 3;
/// Each viewer does so more than once.
const LOOKS_EACH: usize = 2;

/// The viewers: one of each team, of both and of none, owners, and an admin.
fn viewers(broker: &str) -> Vec<Token> {
    let of = |name, teams: &[&str]| Token::user(name, teams).of(broker);
    vec![
        of("cid", &["a"]),
        of("zoe", &["z"]),
        of("mia", &["a", "z"]),
        of("ann", &["a", "z"]),
        of("bob", &["z"]),
        of("lone", &[]),
        of("boss", &["a", "z"]).in_role(Role::Admin),
    ]
}

/// What one brokerage ended with.
#[derive(Default)]
struct Outcome {
    records: usize,
    events: usize,
    cuts: usize,
    unequal: Vec<String>,
}

/// One brokerage, from its first record to its last.
async fn converge(services: &[Service; 2], broker: &str, mut chance: Chance) -> Outcome {
    let until = Instant::now() + DURATION;
    let mut writers = Vec::new();
    for n in 0..BY_ENDPOINT {
        let name = ["ann", "bob", "boss"][n % 3];
        let token = Token::user(name, &["a", "z"]).of(broker);
        let role = if name == "boss" {
            Role::Admin
        } else {
            token.role
        };
        let token = token.in_role(role);
        writers.push(by_endpoint(&services[n % 2], token, chance.fork(), until));
    }
    let mut by_hand = Vec::new();
    for _ in 0..BY_SQL {
        let sql = services[0].database.connect().await;
        by_hand.push(by_sql(sql, broker, chance.fork(), until));
    }
    let (waited_for, mut all_look) = tokio::sync::mpsc::channel(1);
    let mut looks = Vec::new();
    for token in viewers(broker) {
        for _ in 0..LOOKS_EACH {
            let viewer = Viewer::new(services, token.clone(), chance.fork());
            looks.push(viewer.look(DURATION, waited_for.clone()));
        }
    }
    drop(waited_for);
    let sql = services[1].database.connect().await;
    let all = async {
        let written = futures_util::future::join_all(writers);
        tokio::join!(written, futures_util::future::join_all(by_hand));
        // A viewer that begins after the end would never receive it.
        soon("everybody looks", all_look.recv()).await;
        end(sql, broker).await;
    };
    let (viewers, ()) = tokio::join!(futures_util::future::join_all(looks), all);
    let mut outcome = Outcome::default();
    for mut viewer in viewers {
        outcome.records += viewer.known.len();
        outcome.events += viewer.events;
        outcome.cuts += viewer.cuts;
        outcome.unequal.extend(viewer.differences().await);
    }
    outcome
}

/// Everything is written: a viewer that receives this has received all.
async fn end(mut sql: PgConnection, broker: &str) {
    let marker = format!("select porchlight.emit('test:marker', '{{\"broker\": \"{broker}\"}}')");
    run(&mut sql, &marker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_and_the_events_after_it_end_as_a_fresh_list_whatever_is_written() {
    let services = two(&[]).await;
    let mut sql = services[0].database.connect().await;
    let mut chance = Chance::new();
    let mut all = Outcome::default();
    // Brokerages, one after the other, each with a seed of its own.
    let seeds = short_or_long(6, 40);
    for seed in 0..seeds {
        let broker = format!("b-{seed}");
        let outcome = converge(&services, &broker, chance.fork()).await;
        assert!(
            outcome.unequal.is_empty(),
            "{broker}: {}",
            outcome.unequal.join("\n")
        );
        all.records += outcome.records;
        all.events += outcome.events;
        all.cuts += outcome.cuts;
    }
    let counts = (all.records, all.events, all.cuts);
    assert!(
        all.records > seeds && all.events > 100 * seeds && all.cuts > seeds,
        "{counts:?}"
    );
    let set_aside: Vec<String> = sqlx::query_scalar("select reason from porchlight.poison")
        .fetch_all(&mut sql)
        .await
        .expect("reasons");
    assert_eq!(set_aside, [""; 0]);
}

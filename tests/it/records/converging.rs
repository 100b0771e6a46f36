//! Who lists once and then listens ends with what a fresh list says, whatever is written
//! meanwhile, by whom, and however often the line is cut.

mod viewer;
mod writer;

use std::time::Duration;

use porchlight::identity::Role;
use sqlx::PgConnection;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use self::viewer::Viewer;
use self::writer::{by_endpoint, by_sql};
use super::{run, two};
use crate::support::{Chance, Service, Token};

/// Names how long, in milliseconds, each brokerage is written to.
const VARIABLE: &str = "PORCHLIGHT_TEST_CONVERGING_MS";
const USUAL: Duration = Duration::from_secs(1);
/// Brokerages, one after the other, each with a chance of its own.
const SEEDS: usize = 20;
/// Writers of each, by each way.
const BY_ENDPOINT: usize = 5;
const BY_SQL: usize = 3;
/// Each of those who look does so more than once.
const LOOKS_EACH: usize = 2;

/// Who looks: one of each team, of both and of none, owners, and an admin.
fn viewers(broker: &str) -> Vec<Token> {
    let of = |name, teams: &[&str]| Token::user(name, teams).of(broker);
    vec![
        of("cid", &["a"]),
        of("zoe", &["z"]),
        of("mia", &["a", "z"]),
        of("ann", &["a", "z"]),
        of("bob", &["z"]),
        of("lone", &[]),
        Token {
            role: Role::Admin,
            ..of("boss", &["a", "z"])
        },
    ]
}

fn duration() -> Duration {
    let asked = std::env::var(VARIABLE).ok();
    let asked = asked.map(|ms| Duration::from_millis(ms.parse().expect("milliseconds")));
    asked.unwrap_or(USUAL)
}

/// What came of one brokerage.
#[derive(Default)]
struct Outcome {
    records: usize,
    told: usize,
    cuts: usize,
    unequal: Vec<String>,
}

/// One brokerage, from its first record to its last.
async fn converge(services: &[Service; 2], broker: &str, mut chance: Chance) -> Outcome {
    let until = Instant::now() + duration();
    let mut writers = Vec::new();
    for n in 0..BY_ENDPOINT {
        let name = ["ann", "bob", "boss"][n % 3];
        let token = Token::user(name, &["a", "z"]).of(broker);
        let role = if name == "boss" {
            Role::Admin
        } else {
            token.role
        };
        let token = Token { role, ..token };
        writers.push(by_endpoint(&services[n % 2], token, (chance.fork(), until)));
    }
    let mut by_hand = Vec::new();
    for _ in 0..BY_SQL {
        let sql = services[0].database.connect().await;
        by_hand.push(by_sql(sql, broker, (chance.fork(), until)));
    }
    let listed = Semaphore::new(0);
    let mut looks = Vec::new();
    for token in viewers(broker) {
        for _ in 0..LOOKS_EACH {
            let viewer = Viewer::new(services, token.clone(), chance.fork());
            looks.push(viewer.look(duration(), &listed));
        }
    }
    let all_listed = u32::try_from(looks.len()).expect("a few");
    let sql = services[1].database.connect().await;
    let all = async {
        let written = futures_util::future::join_all(writers);
        tokio::join!(written, futures_util::future::join_all(by_hand));
        // Who lists only now begins behind all that is told, and would wait for the end in vain.
        drop(listed.acquire_many(all_listed).await);
        end(sql, broker).await;
    };
    let (viewers, ()) = tokio::join!(futures_util::future::join_all(looks), all);
    let mut outcome = Outcome::default();
    for mut viewer in viewers {
        outcome.records += viewer.kept.len();
        outcome.told += viewer.told;
        outcome.cuts += viewer.cuts;
        outcome.unequal.extend(viewer.differences().await);
    }
    outcome
}

/// Everything is written: whoever hears this has heard all.
async fn end(mut sql: PgConnection, broker: &str) {
    let marker = format!("select porchlight.emit('test:marker', '{{\"broker\": \"{broker}\"}}')");
    run(&mut sql, &marker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_and_what_is_told_after_it_end_as_a_fresh_list_whatever_is_written() {
    let (services, mut sql) = two().await;
    let mut chance = Chance::new();
    let mut all = Outcome::default();
    for seed in 0..SEEDS {
        let broker = format!("b-{seed}");
        let outcome = converge(&services, &broker, chance.fork()).await;
        assert!(
            outcome.unequal.is_empty(),
            "{broker}: {}",
            outcome.unequal.join("\n")
        );
        all.records += outcome.records;
        all.told += outcome.told;
        all.cuts += outcome.cuts;
    }
    let counts = (all.records, all.told, all.cuts);
    assert!(
        all.records > SEEDS && all.told > 100 * SEEDS && all.cuts > SEEDS,
        "{counts:?}"
    );
    let set_aside: Vec<String> = sqlx::query_scalar("select reason from porchlight.poison")
        .fetch_all(&mut sql)
        .await
        .expect("reasons");
    assert_eq!(set_aside, [""; 0]);
}

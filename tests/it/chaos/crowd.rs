//! Publishers and clients, while something is cut or killed.

use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::ledger::{self, Ledger};
use crate::support::returning::{Cut, END};
use crate::support::{Chance, Publisher, Returning, Token, short_or_long};

const TEAMS: usize = 50;
/// Publishers that retry; one more does not.
const PUBLISHERS: usize = 4;
/// Events of the largest request.
const BATCH: usize = 120;
/// A client stays away for this part of all events at most.
const AWAY_PART: usize = 10;

/// The number of events that are published in all.
pub(super) fn event_count() -> usize {
    short_or_long(6_000, 20_000)
}

/// One client: its path, its teams, whether it sees its user's and its broker's events too.
struct Reader {
    path: String,
    teams: Vec<usize>,
    is_whole: bool,
    is_zipped: bool,
    cuts: Vec<Cut>,
}

pub(super) struct Plan {
    readers: Vec<Reader>,
    chance: Chance,
}

impl Plan {
    /// Clients of every kind, who are cut off `cuts` times in all.
    pub(super) fn new(chance: &mut Chance, cuts: usize) -> Self {
        let events = event_count();
        // One team of one's own, a choice of teams, several teams, all that one may see.
        let kinds = [1, 1, 1, 3, 3, 7, 20, 1, 2, 50];
        let mut readers = Vec::new();
        for (i, count) in kinds.into_iter().enumerate() {
            let first = chance.below(TEAMS);
            let path = match i {
                0..3 => format!("/stream/team?since=0&team=t{first}"),
                3..7 => "/stream/team?since=0".to_owned(),
                _ => "/stream?since=0".to_owned(),
            };
            readers.push(Reader {
                path,
                teams: (first..first + count).map(|team| team % TEAMS).collect(),
                is_whole: i >= 7,
                is_zipped: i % 2 == 0,
                cuts: Vec::new(),
            });
        }
        for i in 0..cuts {
            let of = i % readers.len();
            let reader = &mut readers[of];
            // Somewhere in what this client surely gets.
            let after = chance.below(events / TEAMS * reader.teams.len() * 7 / 10);
            let away = [0, chance.below(events / AWAY_PART)][chance.below(2)];
            reader.cuts.push((after, away));
        }
        for reader in &mut readers {
            reader.cuts.sort_unstable();
            let share = TEAMS / reader.teams.len();
            for (after, away) in &mut reader.cuts {
                *away = (*after * share + *away).min(events * 8 / 10);
            }
        }
        let chance = chance.fork();
        Self { readers, chance }
    }
}

pub(super) struct Outcome {
    acknowledgements: Ledger,
    clients: Vec<Returning>,
}

impl Outcome {
    /// How often clients were cut off.
    pub(super) fn cuts(&self) -> usize {
        self.clients.iter().map(|client| client.cut).sum()
    }

    /// Whether everything is as it must be.
    pub(super) async fn check(&self, connection: &mut PgConnection) {
        let log = ledger::log(connection).await;
        ledger::check_log(&log, &self.acknowledgements);
        for client in &self.clients {
            ledger::check_seen(&log, client);
            assert!(client.opened > client.cut);
        }
    }
}

/// Publishes and reads at `base` while `trouble` goes on, which knows how many events have
/// been acknowledged.
pub(super) async fn crowd<T>(
    base: &str,
    plan: Plan,
    trouble: impl AsyncFnOnce(watch::Receiver<usize>) -> T,
) -> Outcome {
    let Plan {
        readers,
        mut chance,
    } = plan;
    let acknowledged = watch::Sender::new(0);
    let mut reading = JoinSet::new();
    for (i, reader) in readers.into_iter().enumerate() {
        let (client, cuts) = client(base, i, reader);
        reading.spawn(client.read(cuts, acknowledged.subscribe()));
    }
    let mut publishing = JoinSet::new();
    let events = event_count();
    let share = events / (PUBLISHERS + 1);
    for i in 0..=PUBLISHERS {
        let numbers = i * share..(i + 1) * share;
        let work = Work {
            publisher: Publisher::new(base),
            retries: i < PUBLISHERS,
            numbers,
            chance: chance.fork(),
            acknowledged: acknowledged.clone(),
        };
        publishing.spawn(work.run());
    }
    let trouble = trouble(acknowledged.subscribe());
    let (published, _trouble) = tokio::join!(publishing.join_all(), trouble);
    let mut acknowledgements = Ledger::default();
    for part in published {
        acknowledgements.add(part);
    }
    let numbers: Vec<_> = (0..TEAMS).map(|team| number(events + team)).collect();
    let end = |team| json!({"type": END, "audience": {"team": format!("t{team}")}, "data": {"n": events + team}});
    let ends = json!({"events": (0..TEAMS).map(end).collect::<Vec<_>>()});
    acknowledgements.acknowledge(&Publisher::new(base).insist("end", &ends).await, &numbers);
    let clients = reading.join_all().await;
    Outcome {
        acknowledgements,
        clients,
    }
}

fn client(base: &str, i: usize, reader: Reader) -> (Returning, Vec<Cut>) {
    let teams: Vec<_> = reader.teams.iter().map(|team| format!("t{team}")).collect();
    let names: Vec<_> = teams.iter().map(String::as_str).collect();
    let user = format!("u{i}");
    let mut audiences: Vec<_> = teams.iter().map(|team| format!("team:{team}")).collect();
    if reader.is_whole {
        audiences.extend([format!("user:{user}"), "broker".to_owned()]);
    }
    let (token, url) = (Token::user(&user, &names), format!("{base}{}", reader.path));
    let client = Returning::new(url, &token, audiences, reader.is_zipped);
    (client, reader.cuts)
}

struct Work {
    publisher: Publisher,
    retries: bool,
    numbers: std::ops::Range<usize>,
    chance: Chance,
    acknowledged: watch::Sender<usize>,
}

impl Work {
    async fn run(mut self) -> Ledger {
        let mut acknowledgements = Ledger::default();
        while !self.numbers.is_empty() {
            // Singles often, batches of all sizes else.
            let most = [1, BATCH][self.chance.below(2)];
            let len = 1 + self.chance.below(most);
            let numbers: Vec<_> = self.numbers.by_ref().take(len).collect();
            let events: Vec<_> = numbers.iter().map(|n| self.event(*n)).collect();
            let body = match &events[..] {
                [event] => event.clone(),
                events => json!({"events": events}),
            };
            let key = format!("key-{}", numbers[0]);
            let positions = if self.retries {
                Some(self.publisher.insist(&key, &body).await)
            } else {
                self.publisher.once(&body).await
            };
            let numbers: Vec<_> = numbers.into_iter().map(number).collect();
            if let Some(positions) = positions {
                acknowledgements.acknowledge(&positions, &numbers);
            } else {
                acknowledgements.unsure.extend(&numbers);
                self.publisher.wait_for_service().await;
            }
            // What nobody answers counts too: the others wait for a number.
            self.acknowledged.send_modify(|n| *n += numbers.len());
        }
        acknowledgements
    }

    fn event(&mut self, n: usize) -> Value {
        let audience = match self.chance.below(50) {
            0 => json!({"broker": true}),
            1 => json!({"user": format!("u{}", self.chance.below(12))}),
            _ => json!({"team": format!("t{}", self.chance.below(TEAMS))}),
        };
        json!({"type": "test:tick", "audience": audience, "data": {"n": n}})
    }
}

fn number(n: usize) -> i64 {
    i64::try_from(n).expect("a small number")
}

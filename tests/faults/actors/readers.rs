//! Readers of every kind of stream, who come back however often they are cut off.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Client;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::access::{Access, Revocable};
use super::kinds::{Habit, kinds};
use super::people::OWNERS;
use super::polls;
use super::presence::online;
use crate::history::{Entry, Interest, Privacy};
use crate::log::{facts, secret};
use crate::support::openapi::Head;
use crate::support::requests::client;
use crate::support::{Chance, Message, Stream};
use crate::world::World;

/// A stream without an event for this time is dead: heartbeats that are events come every two seconds.
const WATCHDOG: Duration = Duration::from_secs(5);
/// A stream must have opened by then.
const OPENING: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// Where a reader is.
#[derive(Debug)]
pub struct ReaderState {
    pub name: String,
    pub interest: Interest,
    cursor: AtomicI64,
    has_joined: AtomicBool,
    is_away: AtomicBool,
}

impl ReaderState {
    pub fn move_to(&self, position: i64) {
        self.cursor.fetch_max(position, Ordering::Relaxed);
    }

    /// Notes where it begins.
    pub fn join(&self, world: &World, privacy: Option<Privacy>, after: i64) {
        self.move_to(after);
        self.has_joined.store(true, Ordering::Relaxed);
        world.note(Entry::Joined {
            reader: self.name.clone(),
            interest: self.interest.clone(),
            privacy,
            after,
        });
    }

    pub fn set_away(&self, world: &World, away: bool) {
        self.is_away.store(away, Ordering::Relaxed);
        let reader = self.name.clone();
        world.note(Entry::Away { reader, away });
    }
}

/// A position that a reader must reach.
pub struct Target {
    reader: Arc<ReaderState>,
    position: i64,
}

impl Target {
    /// Whether the reader is there, or not expected to read.
    pub fn is_reached(&self) -> bool {
        let reader = &self.reader;
        let reads =
            reader.has_joined.load(Ordering::Relaxed) && !reader.is_away.load(Ordering::Relaxed);
        !reads || self.position <= reader.cursor.load(Ordering::Relaxed)
    }
}

/// All readers of a run.
#[derive(Clone, Default)]
pub struct Readers {
    states: Arc<Mutex<Vec<Arc<ReaderState>>>>,
    /// The users of the first brokerage who have streams.
    streaming: Arc<Mutex<Vec<String>>>,
    /// Whom the stream of an admin shows, and how.
    shown: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Readers {
    pub fn add(&self, name: &str, interest: Interest) -> Arc<ReaderState> {
        let state = Arc::new(ReaderState {
            name: name.to_owned(),
            interest,
            cursor: AtomicI64::new(0),
            has_joined: AtomicBool::new(false),
            is_away: AtomicBool::new(false),
        });
        let mut states = self.states.lock().expect("readers");
        states.push(Arc::clone(&state));
        state
    }

    /// What each of them must reach to have everything that the log has now.
    pub fn targets(&self, world: &World) -> Vec<Target> {
        let states = self.states.lock().expect("readers");
        let target = |state: &Arc<ReaderState>| Target {
            reader: Arc::clone(state),
            position: world.log.newest_for(&state.interest).unwrap_or(0),
        };
        states.iter().map(target).collect()
    }

    pub fn streaming_users(&self) -> Vec<String> {
        self.streaming.lock().expect("users").clone()
    }

    /// Whom the stream of an admin shows as online.
    pub fn shown_online(&self) -> Vec<String> {
        let shown = self.shown.lock().expect("users");
        let online = shown.iter().filter(|(_, status)| *status == "online");
        online.map(|(user, _)| user.clone()).collect()
    }

    /// Takes a snapshot of presence, or a change.
    fn show(&self, message: &Message) {
        let mut shown = self.shown.lock().expect("users");
        if message.name == "presence:snapshot" {
            *shown = online(&message.json())
                .into_iter()
                .map(|user| (user, "online".to_owned()))
                .collect();
        } else if let Some(status) = message.name.strip_prefix("user:presence:")
            && let Some(user) = message.json()["userId"].as_str()
        {
            shown.insert(user.to_owned(), status.to_owned());
        }
    }
}

struct Reader {
    world: Arc<World>,
    chance: Chance,
    client: Client,
    state: Arc<ReaderState>,
    path: String,
    access: Access,
    privacy: Option<Privacy>,
    habit: Habit,
    /// For the one who shows who is there.
    shows: Option<Readers>,
    /// The id of the last event.
    cursor: Option<String>,
    at: usize,
}

pub fn start(
    world: &Arc<World>,
    chance: &mut Chance,
    revocable: &Revocable,
    actors: &mut JoinSet<()>,
) -> Readers {
    let readers = Readers::default();
    for (n, kind) in kinds().into_iter().enumerate() {
        let interest = Interest {
            brokerage: kind.token.broker.clone(),
            audiences: kind.audiences,
            types: kind.types.map(ToOwned::to_owned),
            record: kind.record.map(ToOwned::to_owned),
        };
        let is_admin = kind.token.user == "boss";
        let is_owner = OWNERS.contains(&&kind.token.user[..]);
        let privacy = match (is_admin, is_owner) {
            (true, _) => Some(Privacy::All),
            (_, true) => None,
            _ => Some(Privacy::Nothing),
        };
        if kind.token.broker == "b" {
            let mut streaming = readers.streaming.lock().expect("users");
            streaming.push(kind.token.user.clone());
        }
        let reader = Reader {
            world: Arc::clone(world),
            chance: chance.fork(),
            client: client(n % 2 == 0),
            state: readers.add(kind.name, interest),
            path: kind.path.to_owned(),
            access: Access::new(world, chance, kind.name, kind.token).with(kind.habit, revocable),
            privacy,
            habit: kind.habit,
            shows: (kind.name == "an admin").then(|| readers.clone()),
            cursor: None,
            at: n % world.instances.len(),
        };
        actors.spawn(reader.run());
    }
    polls::start(world, chance, &readers, actors);
    readers
}

impl Reader {
    async fn run(mut self) {
        let world = Arc::clone(&self.world);
        loop {
            tokio::select! {
                () = world.ended.cancelled() => return,
                () = self.once() => {}
            }
            // The next attempt goes elsewhere.
            self.at = (self.at + 1) % world.instances.len();
        }
    }

    /// Opens a stream and reads it to its end.
    async fn once(&mut self) {
        let Ok(Some(mut stream)) = timeout(OPENING, self.open()).await else {
            tokio::time::sleep(PAUSE).await;
            return;
        };
        let leaves = 2 + u64::try_from(self.chance.below(6)).expect("a time");
        let leaves = tokio::time::sleep(Duration::from_secs(leaves));
        tokio::pin!(leaves);
        let wants_to_leave = self.habit == Habit::Leaves && self.cursor.is_some();
        loop {
            let read = timeout(WATCHDOG, stream.try_next());
            let message = tokio::select! {
                () = &mut leaves, if wants_to_leave && self.world.is_busy() => {
                    drop(stream);
                    self.be_away().await;
                    return;
                }
                message = read => message,
            };
            let Ok(Some(message)) = message else {
                return;
            };
            if let Some(retry) = self.take(&message) {
                tokio::time::sleep(retry).await;
                return;
            }
        }
    }

    async fn be_away(&mut self) {
        self.state.set_away(&self.world, true);
        let ms = u64::try_from(self.chance.below(30_000)).expect("a time");
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            () = self.world.calm.cancelled() => {}
        }
        self.state.set_away(&self.world, false);
    }

    async fn open(&mut self) -> Option<Stream> {
        let url = self.world.instances[self.at].url(&self.path);
        let request = self.access.carry(self.client.get(url)).await?;
        let request = match &self.cursor {
            Some(cursor) => request.header("Last-Event-ID", cursor),
            None => request,
        };
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        if status == 401 {
            let text = response.text().await.ok()?;
            self.was_refused(&text);
            return None;
        }
        assert_eq!(status, 200, "{}", self.state.name);
        let head = Head {
            status,
            headers: response.headers().clone(),
        };
        let body = response.bytes_stream();
        let body = body.take_while(|part| std::future::ready(part.is_ok()));
        let body = body.filter_map(|part| std::future::ready(part.ok()));
        self.world.note(Entry::Opened {
            reader: self.state.name.clone(),
            instance: self.at,
            expires: self.access.expires,
            token: self.access.id.clone(),
        });
        Some(Stream::not_compared(head, Box::pin(body)))
    }

    /// Its token or its ticket counts no more.
    fn was_refused(&mut self, problem: &str) {
        let problem: Value = serde_json::from_str(problem).unwrap_or_default();
        self.world.note(Entry::NotOpened {
            reader: self.state.name.clone(),
            code: problem["code"].as_str().unwrap_or("").to_owned(),
            token: self.access.id.clone(),
        });
        self.access.refused();
    }

    /// Notes an event. After the last one it gives the time after which the reader may come back.
    fn take(&mut self, message: &Message) -> Option<Duration> {
        let reader = || self.state.name.clone();
        let of_data = self.path.contains("named=false").then(|| message.json());
        let name = of_data.as_ref().and_then(|data| data["type"].as_str());
        match name.unwrap_or(&message.name) {
            "stream:ready" => {
                let id = message.json();
                self.access.begun(id["stream"].as_str().unwrap_or(""));
                if self.cursor.is_none() {
                    let after = message.position();
                    self.state.join(&self.world, self.privacy, after);
                }
            }
            "stream:expiring" => self.access.extend(),
            "stream:reset" => {
                self.world.note(Entry::Reset {
                    reader: reader(),
                    reason: message.json()["reason"].as_str().unwrap_or("").to_owned(),
                    position: message.position(),
                });
            }
            "stream:closing" => {
                let words = message.json();
                let reason = words["reason"].as_str().unwrap_or("").to_owned();
                let needs_token = ["revoked", "expired"].contains(&&reason[..]);
                self.world.note(Entry::Closed {
                    reader: reader(),
                    reason,
                });
                if needs_token {
                    self.access.refused();
                    return Some(PAUSE);
                }
                return Some(Duration::from_millis(words["retryMs"].as_u64()?));
            }
            _ if message.is_logged() => {
                let event = message.json();
                self.world.note(Entry::Received {
                    reader: reader(),
                    position: message.position(),
                    event: facts(&event),
                    secret: secret(&event),
                });
            }
            _ => {
                if let Some(readers) = &self.shows {
                    readers.show(message);
                }
            }
        }
        if message.has_id {
            self.cursor = Some(message.id.clone());
            self.state.move_to(message.position());
        }
        None
    }
}

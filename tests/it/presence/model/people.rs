//! People that come and go at random, and what they have open.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::cluster::{Cluster, Door};
use super::history::{End, Ms, Sign};
use crate::support::{Answer, Chance, Stream, Token};

/// A record of the broker's, and one of each team's.
pub const OPEN: &str = "open";
const SESSIONS: [&str; 3] = ["phone", "desk", "tab"];
const MOST_STREAMS: usize = 3;
/// Heartbeats are sent this often, and never closer together than that.
const BEAT: Ms = 700;
const CLOSEST: Ms = 300;

/// What people are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Busy,
    /// Only keep their sessions alive.
    Quiet,
    Over,
}

/// A session that its user keeps alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    pub is_away: bool,
    pub viewing: Option<String>,
    pub editing: Option<String>,
    beaten_at: Ms,
}

/// What a person has open.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub streams: usize,
    pub sessions: BTreeMap<usize, Session>,
}

struct Open {
    sign: usize,
    site: usize,
    /// When its connection ended, or 0.
    cut_at: Arc<AtomicI64>,
    /// The last event that it had.
    last_words: Arc<Mutex<String>>,
    reader: AbortHandle,
}

pub struct Person {
    pub user: usize,
    pub token: Token,
    pub facts: Arc<Mutex<Facts>>,
    pub chance: Chance,
    cluster: Arc<Cluster>,
    streams: Vec<Open>,
    sessions: BTreeMap<usize, Session>,
    /// When each session last sent a heartbeat.
    touched: [Ms; SESSIONS.len()],
}

impl Person {
    pub fn new(user: usize, token: Token, cluster: Arc<Cluster>, chance: Chance) -> Self {
        Self {
            user,
            token,
            facts: Arc::default(),
            chance,
            cluster,
            streams: Vec::new(),
            sessions: BTreeMap::new(),
            touched: [-CLOSEST; SESSIONS.len()],
        }
    }

    pub async fn live(mut self, phase: watch::Receiver<Phase>) {
        loop {
            let now = *phase.borrow();
            if now == Phase::Over {
                return;
            }
            self.notice_cuts(now).await;
            if now == Phase::Busy && self.chance.below(3) == 0 {
                self.act().await;
            }
            self.beat_all().await;
            *self.facts.lock().expect("no panic") = Facts {
                streams: self.streams.len(),
                sessions: self.sessions.clone(),
            };
            let pause = 30 + self.chance.below(200) as u64;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn act(&mut self) {
        match self.chance.below(12) {
            0 | 1 if self.streams.len() < MOST_STREAMS => self.open().await,
            2 | 3 => self.close(),
            4 => {
                // A reconnect, at whichever instance.
                self.close();
                self.open().await;
            }
            5..=7 => self.change().await,
            8 | 9 => self.leave().await,
            // A tab is closed without a request.
            10 => drop(self.sessions.pop_first()),
            // Everything is, at once.
            11 => {
                self.sessions.clear();
                while !self.streams.is_empty() {
                    self.close();
                }
            }
            _ => {}
        }
    }

    async fn open(&mut self) {
        let door = self.cluster.any_door(&mut self.chance);
        let paths = [
            "/stream",
            "/stream/broker",
            "/stream/user",
            "/stream/records/escrows/open",
        ];
        let path = paths[self.chance.below(paths.len())];
        let history = Arc::clone(&self.cluster.history);
        let asked = history.now();
        let opened = Stream::try_open(door.get(path, &self.token)).await;
        let mut stream = opened.ok().filter(|stream| stream.status == 200);
        // In a drain the stream ends at once.
        let first = match &mut stream {
            Some(stream) => stream.try_next().await,
            None => None,
        };
        let is_known = first.is_some_and(|message| message.name == "stream:ready");
        let sign = history.add_sign(Sign {
            user: self.user,
            site: door.site,
            session: None,
            asked,
            answered: history.now(),
            is_known,
            end: None,
            cut: None,
        });
        let (true, Some(mut stream)) = (is_known, stream) else {
            return;
        };
        let cut_at = Arc::<AtomicI64>::default();
        let noticed = Arc::clone(&cut_at);
        let last_words = Arc::<Mutex<String>>::default();
        let words = Arc::clone(&last_words);
        let reader = tokio::spawn(async move {
            while let Some(message) = stream.try_next().await {
                *words.lock().expect("no panic") = message.data;
            }
            noticed.store(history.now(), Ordering::Relaxed);
        });
        self.streams.push(Open {
            sign,
            site: door.site,
            cut_at,
            last_words,
            reader: reader.abort_handle(),
        });
    }

    fn close(&mut self) {
        if self.streams.is_empty() {
            return;
        }
        let at = self.chance.below(self.streams.len());
        let open = self.streams.swap_remove(at);
        if open.cut_at.load(Ordering::Relaxed) > 0 {
            self.note_cut(&open);
            return;
        }
        let history = &self.cluster.history;
        let asked = history.now();
        open.reader.abort();
        history.signs()[open.sign].end = Some(End {
            asked,
            done: history.now(),
            site: open.site,
            is_known: true,
        });
    }

    fn note_cut(&self, open: &Open) {
        let history = &self.cluster.history;
        history.signs()[open.sign].cut = Some(open.cut_at.load(Ordering::Relaxed));
        let site = history.sites()[open.site];
        let is_ended = site.stopped_at.is_some() || site.killed_in.is_some();
        let words = open.last_words.lock().expect("no panic");
        assert!(
            is_ended,
            "{}'s stream has ended by itself: {words}",
            self.token.user
        );
    }

    /// Streams whose instance has ended; most come back at once.
    async fn notice_cuts(&mut self, phase: Phase) {
        let is_cut = |open: &mut Open| open.cut_at.load(Ordering::Relaxed) > 0;
        let cut: Vec<_> = self.streams.extract_if(.., is_cut).collect();
        for open in cut {
            self.note_cut(&open);
            if phase == Phase::Busy && self.chance.below(4) > 0 {
                self.open().await;
            }
        }
    }

    /// A session begins, or says something else.
    async fn change(&mut self) {
        let session = self.chance.below(SESSIONS.len());
        if self.cluster.history.now() - self.touched[session] < CLOSEST {
            return;
        }
        let says = Session {
            is_away: self.chance.below(3) == 0,
            viewing: self.record(),
            editing: self.record(),
            beaten_at: 0,
        };
        self.sessions.insert(session, says);
        self.beat(session).await;
    }

    fn record(&mut self) -> Option<String> {
        let teams = self.token.teams.iter();
        let mut records: Vec<_> = teams.map(|team| format!("of-{team}")).collect();
        records.push(OPEN.to_owned());
        let chosen = self.chance.below(2 * records.len());
        (chosen < records.len()).then(|| records.swap_remove(chosen))
    }

    async fn beat_all(&mut self) {
        let now = self.cluster.history.now();
        let due = self.sessions.iter();
        let due = due.filter(|(_, session)| now - session.beaten_at >= BEAT);
        let due: Vec<_> = due.map(|(session, _)| *session).collect();
        for session in due {
            if self.cluster.history.now() - self.touched[session] >= CLOSEST {
                self.beat(session).await;
            }
        }
    }

    async fn beat(&mut self, session: usize) {
        let door = self.cluster.any_door(&mut self.chance);
        let history = Arc::clone(&self.cluster.history);
        let body = body(session, &self.sessions[&session]);
        let asked = history.now();
        let is_known = self.post(&door, "/presence/heartbeat", &body).await == Some(200);
        let answered = history.now();
        history.add_sign(Sign {
            user: self.user,
            site: door.site,
            session: Some(session),
            asked,
            answered,
            is_known,
            end: None,
            cut: None,
        });
        self.touched[session] = answered;
        if let Some(says) = self.sessions.get_mut(&session).filter(|_| is_known) {
            says.beaten_at = answered;
        }
    }

    async fn leave(&mut self) {
        let Some(session) = self.sessions.keys().next().copied() else {
            return;
        };
        if self.cluster.history.now() - self.touched[session] < CLOSEST {
            return;
        }
        self.sessions.remove(&session);
        let door = self.cluster.any_door(&mut self.chance);
        let asked = self.cluster.history.now();
        let body = json!({"session": SESSIONS[session]});
        let left = self.post(&door, "/presence/leave", &body).await;
        let done = self.cluster.history.now();
        self.touched[session] = done;
        // It is unknown where the last heartbeat has not been read yet; then it runs out.
        if left != Some(404) {
            let end = End {
                asked,
                done,
                site: door.site,
                is_known: left == Some(204),
            };
            self.cluster.history.left(self.user, session, end);
        }
    }

    /// The answer's status, if there is any.
    async fn post(&self, door: &Door, path: &str, body: &Value) -> Option<u16> {
        let request = door.request(Method::POST, path, &self.token).json(body);
        let answer = Answer::try_to(request).await.ok()?;
        let status = answer.status;
        let site = self.cluster.history.sites()[door.site];
        if site.stopped_at.is_none()
            && site.killed_in.is_none()
            && ![200, 204, 404].contains(&status)
        {
            panic!("{path} {body}: {status} {}", answer.text);
        }
        Some(status)
    }
}

fn body(session: usize, says: &Session) -> Value {
    let record = |id: &Option<String>| {
        id.as_ref()
            .map(|id| json!({"module": "escrows", "recordId": id}))
    };
    json!({
        "session": SESSIONS[session],
        "status": if says.is_away { "away" } else { "online" },
        "viewing": record(&says.viewing),
        "editing": record(&says.editing),
    })
}

/// What `door` answers to a question.
pub async fn ask(door: &Door, path: &str, token: &Token) -> Value {
    let answer = Answer::to(door.get(path, token)).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

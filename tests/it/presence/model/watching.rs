//! Clients that watch all the time, each a part of the brokerage, and what they should see.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;
use tokio::sync::mpsc;

use super::cluster::{Cluster, Door};
use super::people::{Facts, OPEN, ask};
use super::picture::{People, Picture, Shown, people, since};
use crate::support::{Stream, Token};

/// What a watcher sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    All,
    Team(&'static str),
    Broker,
    Record,
}

impl Part {
    fn stream(self) -> String {
        match self {
            Self::All => "/stream".to_owned(),
            Self::Team(team) => format!("/stream/team?team={team}"),
            Self::Broker => "/stream/broker".to_owned(),
            Self::Record => format!("/stream/records/escrows/{OPEN}"),
        }
    }

    /// The same as a list, if there is one.
    fn list(self) -> Option<String> {
        match self {
            Self::All => Some("/presence".to_owned()),
            Self::Team(team) => Some(format!("/presence?team={team}")),
            Self::Broker => None,
            Self::Record => Some(format!("/presence?record=escrows/{OPEN}")),
        }
    }
}

pub struct Watcher {
    pub part: Part,
    pub token: Token,
    pub picture: Arc<Mutex<Picture>>,
    site: Mutex<usize>,
    moves: mpsc::Sender<usize>,
}

impl Watcher {
    /// Listens at an instance from now on.
    pub async fn start(cluster: &Arc<Cluster>, part: Part, token: Token, site: usize) -> Self {
        let (moves, asked) = mpsc::channel(1);
        let picture = Picture {
            of_record: part == Part::Record,
            ..Picture::default()
        };
        let picture = Arc::new(Mutex::new(picture));
        let stream = Stream::open(cluster.door(site).get(&part.stream(), &token)).await;
        assert_eq!(stream.status, 200, "{part:?}");
        let listening = Listening {
            cluster: Arc::clone(cluster),
            part,
            token: token.clone(),
            picture: Arc::clone(&picture),
            asked,
        };
        tokio::spawn(listening.run(stream, site));
        Self {
            part,
            token,
            picture,
            site: site.into(),
            moves,
        }
    }

    /// Cuts its own connection, and starts from a new snapshot at another instance.
    pub async fn reconnect(&self, site: usize) {
        *self.site.lock().expect("no panic") = site;
        self.moves.send(site).await.expect("it listens");
    }

    pub fn site(&self) -> usize {
        *self.site.lock().expect("no panic")
    }

    pub fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().expect("no panic")
    }

    pub fn expected(&self, everybody: &[(Token, Facts)]) -> People {
        let shown = everybody.iter().filter_map(|(token, facts)| {
            let shown = self.shown(token, facts)?;
            Some((token.user.clone(), shown))
        });
        shown.collect()
    }

    fn shown(&self, token: &Token, facts: &Facts) -> Option<Shown> {
        let sessions = || facts.sessions.values();
        if facts.streams == 0 && facts.sessions.is_empty() {
            return None;
        }
        if matches!(self.part, Part::Team(team) if !token.teams.iter().any(|t| t == team)) {
            return None;
        }
        let is_online = facts.sessions.is_empty() || sessions().any(|s| !s.is_away);
        let seen = |record: &&String| match self.part {
            Part::All => {
                record.as_str() == OPEN || {
                    let team = record.trim_start_matches("of-");
                    self.token.teams.iter().any(|mine| mine == team)
                }
            }
            Part::Team(team) => record.as_str() == OPEN || **record == format!("of-{team}"),
            Part::Broker | Part::Record => record.as_str() == OPEN,
        };
        let viewing: BTreeSet<_> = sessions().filter_map(|s| s.viewing.as_ref()).collect();
        let editing: BTreeSet<_> = sessions().filter_map(|s| s.editing.as_ref()).collect();
        let status = if is_online { "online" } else { "away" };
        let shown = Shown {
            status: status.to_owned(),
            viewing: viewing.into_iter().filter(seen).cloned().collect(),
            editing: editing.into_iter().filter(seen).cloned().collect(),
        };
        let is_there = !shown.viewing.is_empty() || !shown.editing.is_empty();
        (self.part != Part::Record || is_there).then_some(shown)
    }

    /// What is not as it should be, at any of the doors.
    pub async fn mismatch(&self, everybody: &[(Token, Facts)], doors: &[Door]) -> Option<String> {
        let expected = self.expected(everybody);
        let picture = self.picture().people.clone();
        if let Some(wrong) = differs("its picture", &picture, &expected) {
            return Some(format!("{:?}: {wrong}", self.part));
        }
        for door in doors {
            let wrong = self.mismatch_at(door, &expected).await;
            if let Some(wrong) = wrong {
                return Some(format!("{:?}, site {}: {wrong}", self.part, door.site));
            }
        }
        None
    }

    async fn mismatch_at(&self, door: &Door, expected: &People) -> Option<String> {
        let mut stream = Stream::open(door.get(&self.part.stream(), &self.token)).await;
        let snapshot = stream.next_state("presence:snapshot").await;
        drop(stream);
        let wrong = self.answer_differs("a new snapshot", &snapshot, door, expected);
        if wrong.is_some() {
            return wrong;
        }
        let path = self.part.list()?;
        let list = ask(door, &path, &self.token).await;
        self.answer_differs("the list", &list, door, expected)
    }

    fn answer_differs(
        &self,
        what: &str,
        answer: &Value,
        door: &Door,
        expected: &People,
    ) -> Option<String> {
        let is_of_record = self.part == Part::Record;
        let wrong = differs(what, &people(answer), expected);
        if wrong.is_some() {
            return wrong;
        }
        let picture = self.picture();
        let online = answer["online"].as_u64();
        if online != picture.online {
            return Some(format!(
                "{what}: online {online:?}, received {:?}",
                picture.online
            ));
        }
        // Each instance reads its own clock.
        if !is_of_record && door.site == self.site() && since(answer) != picture.since {
            return Some(format!("{what}: {answer}, received {:?}", picture.since));
        }
        let of = |places: fn(&Shown) -> &BTreeSet<String>| {
            expected
                .values()
                .filter(|s| places(s).contains(OPEN))
                .count() as u64
        };
        if is_of_record && picture.viewers.is_some_and(|n| n != of(|s| &s.viewing)) {
            return Some(format!("{:?} viewers were received", picture.viewers));
        }
        if is_of_record && picture.editors.is_some_and(|n| n != of(|s| &s.editing)) {
            return Some(format!("{:?} editors were received", picture.editors));
        }
        None
    }
}

fn differs(what: &str, seen: &People, expected: &People) -> Option<String> {
    let names: BTreeSet<_> = seen.keys().chain(expected.keys()).collect();
    let wrong = names
        .into_iter()
        .find(|name| seen.get(*name) != expected.get(*name))?;
    let (seen, expected) = (seen.get(wrong), expected.get(wrong));
    Some(format!("{what} of {wrong} is {seen:?}, not {expected:?}"))
}

struct Listening {
    cluster: Arc<Cluster>,
    part: Part,
    token: Token,
    picture: Arc<Mutex<Picture>>,
    asked: mpsc::Receiver<usize>,
}

impl Listening {
    async fn run(mut self, mut stream: Stream, mut site: usize) {
        loop {
            tokio::select! {
                to = self.asked.recv() => {
                    let Some(to) = to else { return };
                    site = to;
                    drop(stream);
                    let door = self.cluster.door(site);
                    stream = Stream::open(door.get(&self.part.stream(), &self.token)).await;
                }
                message = stream.try_next() => {
                    let now = self.cluster.history.now();
                    let mut picture = self.picture.lock().expect("no panic");
                    let Some(message) = message else {
                        picture.complaints.push(format!("{now}: the stream has ended"));
                        return;
                    };
                    picture.take(&message, now, site);
                }
            }
        }
    }
}

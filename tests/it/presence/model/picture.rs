//! What one client makes of what it receives: a snapshot, and the changes after it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::history::Ms;
use crate::support::Message;

/// One person, as others see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub status: String,
    pub viewing: BTreeSet<String>,
    pub editing: BTreeSet<String>,
}

pub type People = BTreeMap<String, Shown>;

/// A change of who is here.
#[derive(Clone, Debug)]
pub enum Change {
    /// These are here and nobody else is, says this instance.
    All(BTreeSet<String>, usize),
    Here(String),
    Gone(String),
}

#[derive(Default)]
pub struct Picture {
    /// Whether it is of one record: of those who have it open.
    pub of_record: bool,
    pub people: People,
    /// Since when somebody's status is what it is.
    pub since: BTreeMap<String, String>,
    /// The number of people online, as last received.
    pub online: Option<u64>,
    pub viewers: Option<u64>,
    pub editors: Option<u64>,
    pub changes: Vec<(Ms, Change)>,
    /// What should not have been sent.
    pub complaints: Vec<String>,
}

/// The people of a snapshot or an answer.
pub fn people(snapshot: &Value) -> People {
    let users = snapshot["users"].as_array().expect("users");
    let shown = |user: &Value| Shown {
        status: text(&user["status"]),
        viewing: places(&user["viewing"]),
        editing: places(&user["editing"]),
    };
    users
        .iter()
        .map(|user| (text(&user["userId"]), shown(user)))
        .collect()
}

/// Since when each of them is what they are.
pub fn since(snapshot: &Value) -> BTreeMap<String, String> {
    let users = snapshot["users"].as_array().expect("users");
    users
        .iter()
        .map(|user| (text(&user["userId"]), text(&user["since"])))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn places(places: &Value) -> BTreeSet<String> {
    let places = places.as_array().expect("places").iter();
    places.map(|place| text(&place["recordId"])).collect()
}

impl Picture {
    /// Takes what the stream of the instance `site` has said.
    pub fn take(&mut self, message: &Message, now: Ms, site: usize) {
        if !message.is_state() {
            return;
        }
        let said = message.json();
        if message.name == "presence:snapshot" {
            self.start(&said, now, site);
        } else if let Some(status) = message.name.strip_prefix("user:presence:") {
            self.presence(&said, status, now);
        } else if message.name.starts_with("user:viewing:") {
            self.place(&said, "viewing", |shown| &mut shown.viewing);
            self.viewers = said["data"]["viewers"].as_u64();
        } else if message.name.starts_with("user:editing:") {
            self.place(&said, "editing", |shown| &mut shown.editing);
            self.editors = said["data"]["editors"].as_u64();
        }
    }

    fn start(&mut self, snapshot: &Value, now: Ms, site: usize) {
        self.people = people(snapshot);
        self.since = since(snapshot);
        self.online = snapshot["online"].as_u64();
        (self.viewers, self.editors) = (None, None);
        let users = self.people.keys().cloned().collect();
        self.changes.push((now, Change::All(users, site)));
    }

    fn presence(&mut self, said: &Value, status: &str, now: Ms) {
        let user = text(&said["userId"]);
        self.online = said["data"]["online"].as_u64();
        let before = self.people.get(&user).map(|shown| shown.status.as_str());
        if before.unwrap_or("offline") == status {
            self.complaints
                .push(format!("{now}: {user} is {status} twice"));
        }
        if status == "offline" {
            self.people.remove(&user);
            self.since.remove(&user);
            self.changes.push((now, Change::Gone(user)));
            return;
        }
        let shown = self.people.entry(user.clone()).or_default();
        status.clone_into(&mut shown.status);
        self.since
            .insert(user.clone(), text(&said["data"]["since"]));
        self.changes.push((now, Change::Here(user)));
    }

    fn place(&mut self, said: &Value, verb: &str, of: fn(&mut Shown) -> &mut BTreeSet<String>) {
        let (user, record) = (text(&said["userId"]), text(&said["recordId"]));
        let comes = said["data"][verb].as_bool().expect("yes or no");
        if self.of_record {
            self.online = said["data"]["online"].as_u64();
        }
        let Some(shown) = self.people.get_mut(&user) else {
            if comes && self.of_record {
                let shown = self.people.entry(user).or_default();
                shown.status = text(&said["data"]["status"]);
                of(shown).insert(record);
            } else if comes {
                let complaint = format!("{user} is not here, and {verb} {record}");
                self.complaints.push(complaint);
            }
            return;
        };
        let is_news = if comes {
            of(shown).insert(record.clone())
        } else {
            of(shown).remove(&record)
        };
        if !is_news {
            let complaint = format!("{user} {verb} {record}: {comes} twice");
            self.complaints.push(complaint);
        }
        if self.of_record && shown.viewing.is_empty() && shown.editing.is_empty() {
            self.people.remove(&user);
        }
    }

    /// Who was shown from when to when, and at which instance: in the order of time.
    pub fn segments(&self, user: &str, now: Ms) -> Vec<Segment> {
        let mut segments: Vec<Segment> = Vec::new();
        let mut site = 0;
        for (at, change) in &self.changes {
            let is_shown = match change {
                Change::All(users, by) => {
                    site = *by;
                    users.contains(user)
                }
                Change::Here(who) if who == user => true,
                Change::Gone(who) if who == user => false,
                Change::Here(_) | Change::Gone(_) => continue,
            };
            let (from, until) = (*at, now);
            if let Some(last) = segments.last_mut() {
                last.until = *at;
            }
            segments.push(Segment {
                from,
                until,
                site,
                is_shown,
            });
        }
        segments
    }
}

/// A time in which a picture says the same of somebody.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub from: Ms,
    pub until: Ms,
    pub site: usize,
    pub is_shown: bool,
}

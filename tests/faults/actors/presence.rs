//! Users who say that they are there, and leave.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::readers::Readers;
use crate::history::Entry;
use crate::http::{Call, Person};
use crate::support::{Chance, Token};
use crate::world::World;

/// The first of them stay to the end, the others leave when all is calm.
const STAYING: usize = 2;
const LEAVING: usize = 2;
const REST_MS: usize = 1_500;
/// How often an instance is asked in the end, where it says that it does not know yet.
const ATTEMPTS: usize = 20;

fn visitor(n: usize) -> Token {
    Token::user(&format!("v{n}"), &["t0"])
}

pub fn start(world: &Arc<World>, chance: &mut Chance, actors: &mut JoinSet<()>) {
    for n in 0..STAYING + LEAVING {
        let visitor = Visitor {
            person: Person::new(world, chance, &visitor(n)),
            stays: n < STAYING,
        };
        actors.spawn(visitor.run());
    }
}

struct Visitor {
    person: Person,
    stays: bool,
}

impl Visitor {
    async fn run(mut self) {
        let world = Arc::clone(&self.person.world);
        while world.is_busy() || (self.stays && !world.ended.is_cancelled()) {
            let body = json!({"session": "tab", "status": "online"});
            self.person
                .ask(&Call::post("/presence/heartbeat", body))
                .await;
            self.person.rest(REST_MS).await;
            if world.is_busy() && self.person.chance.below(8) == 0 {
                self.leave().await;
                self.person.rest(5 * REST_MS).await;
            }
            if !world.is_busy() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        if !self.stays {
            self.leave().await;
        }
    }

    async fn leave(&mut self) {
        let body = json!({"session": "tab"});
        self.person.ask(&Call::post("/presence/leave", body)).await;
    }
}

/// Notes who must be online now, and whom instances and a stream show.
pub async fn note(world: &Arc<World>, chance: &mut Chance, readers: &Readers) {
    let brokerage = || "b".to_owned();
    let visitors = (0..STAYING).map(|n| visitor(n).user);
    let users: BTreeSet<_> = readers
        .streaming_users()
        .into_iter()
        .chain(visitors)
        .collect();
    world.note(Entry::PresenceExpected {
        brokerage: brokerage(),
        users: users.into_iter().collect(),
    });
    let admin = Token::user("boss", &super::people::TEAMS);
    let admin = admin.in_role(porchlight::identity::Role::Admin);
    let admin = Person::new(world, chance, &admin);
    for instance in 0..world.instances.len() {
        world.note(Entry::PresenceSeen {
            place: format!("instance {instance}"),
            brokerage: brokerage(),
            users: listed(&admin, instance).await,
        });
    }
    world.note(Entry::PresenceSeen {
        place: "a stream".to_owned(),
        brokerage: brokerage(),
        users: readers.shown_online(),
    });
}

/// Whom an instance lists as online, when it says that it knows.
async fn listed(admin: &Person, instance: usize) -> Vec<String> {
    for _ in 0..ATTEMPTS {
        let reply = admin.ask_at(instance, &Call::get("/presence")).await;
        if let Some(reply) = reply
            && reply.status == 200
            && reply.body["stale"] != true
        {
            return online(&reply.body);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Vec::new()
}

/// The users of a list or snapshot who are online.
pub fn online(people: &Value) -> Vec<String> {
    let users = people["users"].as_array().into_iter().flatten();
    let users = users.filter(|user| user["status"] == "online");
    users
        .filter_map(|user| user["userId"].as_str())
        .map(ToOwned::to_owned)
        .collect()
}

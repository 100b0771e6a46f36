//! Readers where streams are blocked: `GET /events` that waits.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::kinds::audiences;
use super::people::{USERS, user};
use super::publishers::position_of;
use super::readers::{ReaderState, Readers};
use crate::history::{Entry, Interest, Privacy};
use crate::http::{Call, Person, Reply};
use crate::log::{facts, secret};
use crate::support::Chance;
use crate::world::World;

pub fn start(world: &Arc<World>, chance: &mut Chance, readers: &Readers, actors: &mut JoinSet<()>) {
    for (n, scope) in [(2, None), (7, Some("team"))] {
        let mut audiences = audiences(n);
        audiences.retain(|audience| scope.is_none() || audience.starts_with("team:"));
        let interest = Interest {
            brokerage: "b".to_owned(),
            audiences,
            types: None,
            record: None,
        };
        let name = format!("long polls of {}, {}", USERS[n], scope.unwrap_or("all"));
        let poll = Poll {
            person: Person::new(world, chance, &user(n)),
            state: readers.add(&name, interest),
            scope: scope.map_or(String::new(), |scope| format!("&scope={scope}")),
            cursor: "0".to_owned(),
        };
        actors.spawn(poll.run());
    }
}

struct Poll {
    person: Person,
    state: Arc<ReaderState>,
    scope: String,
    cursor: String,
}

impl Poll {
    async fn run(mut self) {
        let world = Arc::clone(&self.person.world);
        self.state.join(&world, Some(Privacy::Nothing), 0);
        while !world.ended.is_cancelled() {
            let (cursor, scope) = (&self.cursor, &self.scope);
            let path = format!("/events?after={cursor}&wait=2&limit=200{scope}");
            let reply = self.person.ask(&Call::get(&path)).await;
            match reply {
                Some(reply) if reply.status == 200 => self.take(&reply),
                Some(reply) if reply.status == 410 => self.reset(&reply),
                _ => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    }

    fn take(&mut self, page: &Reply) {
        let world = &self.person.world;
        let Some(next) = page.body["next"].as_str() else {
            return;
        };
        for event in page.body["events"].as_array().into_iter().flatten() {
            let position = event["position"].as_str().and_then(position_of);
            let position = position.expect("a position");
            world.note(Entry::Received {
                reader: self.state.name.clone(),
                position,
                event: facts(event),
                secret: secret(event),
            });
            self.state.move_to(position);
        }
        self.state.move_to(position_of(next).expect("a position"));
        next.clone_into(&mut self.cursor);
    }

    /// Where it goes on, after the service said that events are missing.
    fn reset(&mut self, problem: &Reply) {
        let Some(cursor) = problem.body["position"].as_str() else {
            return;
        };
        let position = position_of(cursor).expect("a position");
        let code = problem.body["code"].as_str().unwrap_or_default();
        self.person.world.note(Entry::Reset {
            reader: self.state.name.clone(),
            reason: code.trim_start_matches("cursor_").to_owned(),
            position,
        });
        self.state.move_to(position);
        cursor.clone_into(&mut self.cursor);
    }
}

//! Publishers: with keys they repeat a request until it is acknowledged, without they do not.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::people::{BROKERAGES, audience};
use crate::checker::PUBLISHED;
use crate::history::{Entry, Outcome};
use crate::http::{Call, Person, Reply};
use crate::support::{Chance, Token};
use crate::world::World;

const PUBLISHERS: usize = 4;
/// The others have none.
const WITH_KEYS: usize = 3;
/// Events of a large request.
const BATCH: usize = 12;
/// A publisher rests at most so long between two requests.
const REST_MS: usize = 200;

pub fn start(world: &Arc<World>, chance: &mut Chance, actors: &mut JoinSet<()>) {
    for n in 0..PUBLISHERS {
        for brokerage in BROKERAGES {
            let is_busy = brokerage == BROKERAGES[0];
            if !is_busy && n > 0 {
                continue;
            }
            let person = Person::new(world, chance, &Token::service(brokerage));
            let publisher = Publisher {
                person,
                brokerage,
                has_keys: n < WITH_KEYS,
                rest_ms: if is_busy { REST_MS } else { 5 * REST_MS },
            };
            actors.spawn(publisher.run());
        }
    }
}

struct Publisher {
    person: Person,
    brokerage: &'static str,
    has_keys: bool,
    rest_ms: usize,
}

impl Publisher {
    async fn run(mut self) {
        while self.person.world.is_busy() {
            self.publish().await;
            self.person.rest(self.rest_ms).await;
        }
    }

    async fn publish(&mut self) {
        let most = [1, BATCH][self.person.chance.below(2)];
        let count = 1 + self.person.chance.below(most);
        let world = Arc::clone(&self.person.world);
        let request = world.number();
        let numbers: Vec<_> = (0..count).map(|_| number(&world)).collect();
        let events: Vec<_> = numbers.iter().map(|n| self.event(*n)).collect();
        world.note(Entry::Sent {
            request,
            brokerage: self.brokerage.to_owned(),
            numbers,
        });
        let body = json!({"events": events});
        if self.has_keys {
            self.insist(request, body).await;
        } else {
            let reply = self.person.ask(&Call::post("/events", body)).await;
            let outcome = Reply::outcome(reply.as_ref());
            world.note(match reply.as_ref().and_then(positions) {
                Some(positions) => Entry::Acknowledged { request, positions },
                None => Entry::Failed { request, outcome },
            });
        }
    }

    async fn insist(&mut self, request: u64, body: Value) {
        let key = format!("key-{request}");
        let call = Call {
            key: Some(&key),
            ..Call::post("/events", body)
        };
        let world = Arc::clone(&self.person.world);
        let reply = self.person.insist(&call, &[201]).await;
        let positions = reply.as_ref().and_then(positions);
        let Some(positions) = positions else {
            let outcome = Outcome::Unknown;
            world.note(Entry::Failed { request, outcome });
            return;
        };
        world.note(Entry::Acknowledged { request, positions });
        // Now and then the answer got lost, and the client asks once more, elsewhere.
        if self.person.chance.below(10) == 0 {
            let again = self.person.ask(&call).await;
            if let Some(positions) = again.as_ref().and_then(self::positions) {
                world.note(Entry::Acknowledged { request, positions });
            }
        }
    }

    fn event(&mut self, n: i64) -> Value {
        let audience = audience(&mut self.person.chance);
        json!({"type": PUBLISHED, "audience": audience, "data": {"n": n}})
    }
}

fn number(world: &World) -> i64 {
    i64::try_from(world.number()).expect("a small number")
}

fn positions(reply: &Reply) -> Option<Vec<i64>> {
    let positions = reply.body["positions"].as_array()?.iter();
    positions
        .map(|position| position.as_str().and_then(position_of))
        .collect()
}

/// The position in a cursor.
pub fn position_of(cursor: &str) -> Option<i64> {
    cursor.split('-').next()?.parse().ok()
}

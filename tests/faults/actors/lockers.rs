//! Users who race for the locks of a few records.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::people::user;
use crate::history::Entry;
use crate::http::{Call, Person, Reply};
use crate::support::Chance;
use crate::world::World;

const RACERS: usize = 5;
const RECORDS: usize = 2;
/// The shortest lease that the service grants.
const LEASE_SECONDS: u64 = 10;
const REST_MS: usize = 400;

pub fn start(world: &Arc<World>, chance: &mut Chance, actors: &mut JoinSet<()>) {
    for n in 0..RACERS {
        let racer = Racer {
            person: Person::new(world, chance, &user(n)),
            name: format!("u{n}"),
        };
        actors.spawn(racer.run());
    }
}

struct Racer {
    person: Person,
    name: String,
}

impl Racer {
    async fn run(mut self) {
        while self.person.world.is_busy() {
            self.race().await;
            self.person.rest(REST_MS).await;
        }
    }

    async fn race(&mut self) {
        let id = format!("e-{}", self.person.chance.below(RECORDS));
        // Each time another session: what an old request did late, is not about this one.
        let session = format!("s-{}", self.person.world.number());
        let body = json!({"module": "escrows", "recordId": id, "session": session, "leaseSeconds": LEASE_SECONDS});
        let held = self.ask(&id, &Call::post("/locks", body)).await;
        if held {
            self.person.rest(REST_MS).await;
            if self.person.chance.below(3) == 0 {
                let path = format!("/locks/escrows/{id}/renew");
                let body = json!({"session": session, "leaseSeconds": LEASE_SECONDS});
                self.ask(&id, &Call::post(&path, body)).await;
            }
            if self.person.chance.below(12) == 0 {
                // It forgets the lock, which ends with its lease.
                return;
            }
        }
        self.person.world.note(Entry::LockLeft {
            record: format!("escrows/{id}"),
            holder: self.name.clone(),
        });
        let path = format!("/locks/escrows/{id}?session={session}");
        self.person.ask(&Call::delete(&path)).await;
    }

    /// Asks for a lock or for more time. Gives whether this one may have it now.
    async fn ask(&mut self, id: &str, call: &Call<'_>) -> bool {
        let world = Arc::clone(&self.person.world);
        let ask = world.number();
        world.note(Entry::LockAsked {
            ask,
            record: format!("escrows/{id}"),
            holder: self.name.clone(),
        });
        let reply = self.person.ask(call).await;
        match reply {
            Some(reply) if reply.status < 300 => {
                if let Some((fence, until)) = granted(&world, &reply) {
                    world.note(Entry::LockGranted { ask, fence, until });
                }
                true
            }
            Some(reply) if reply.status == 409 => {
                world.note(Entry::LockRefused { ask });
                false
            }
            // It may have been granted.
            _ => true,
        }
    }
}

/// The fence and the end of the lease, in microseconds of the history.
fn granted(world: &World, reply: &Reply) -> Option<(i64, u64)> {
    let until = reply.body["lockedUntil"].as_str()?;
    let format = &time::format_description::well_known::Rfc3339;
    let until = time::OffsetDateTime::parse(until, format).ok()?;
    let ms = i64::try_from(until.unix_timestamp_nanos() / 1_000_000).ok()?;
    Some((reply.body["fence"].as_i64()?, world.history.moment(ms)))
}

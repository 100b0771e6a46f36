//! Users who change the same records of the service over HTTP: with keys, and some of them only the version that they know.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::people::{OWNERS, user};
use crate::history::{Entry, Outcome};
use crate::http::{Call, Person};
use crate::support::Chance;
use crate::world::World;

const RECORDS: usize = 3;
const REST_MS: usize = 500;
/// The team of all owners.
const SHARED_TEAM: &str = "t1";
/// What an answer can be that ends an edit. Everything else is tried again with the same key.
const ANSWERS: [u16; 5] = [200, 201, 403, 404, 409];

pub fn start(world: &Arc<World>, chance: &mut Chance, actors: &mut JoinSet<()>) {
    for n in 0..OWNERS.len() {
        let editor = Editor {
            person: Person::new(world, chance, &user(n)),
            known: [None; RECORDS],
        };
        actors.spawn(editor.run());
    }
}

struct Editor {
    person: Person,
    /// The version of each record that it was told last.
    known: [Option<i64>; RECORDS],
}

impl Editor {
    async fn run(mut self) {
        while self.person.world.is_busy() {
            let record = self.person.chance.below(RECORDS);
            self.edit(record).await;
            self.person.rest(REST_MS).await;
        }
    }

    /// One change, which is sent until it is answered.
    async fn edit(&mut self, record: usize) {
        let world = Arc::clone(&self.person.world);
        let write = i64::try_from(world.number()).expect("a small number");
        let id = format!("r-{record}");
        let name = format!("escrows/{id}");
        let note = |version| {
            let record = name.clone();
            world.note(Entry::Written {
                write,
                record,
                version,
            });
        };
        note(0);
        let key = format!("edit-{write}");
        let path = format!("/records/escrows/{id}");
        let known = self.known[record];
        let call = match known {
            None => Call::post("/records/escrows", new_record(&id, write)),
            Some(_) => Call::patch(&path, self.change(write)),
        };
        let is_careful = known.is_some() && self.person.chance.below(2) == 0;
        let call = Call {
            key: Some(&key),
            version: known.filter(|_| is_careful),
            ..call
        };
        let Some(reply) = self.person.insist(&call, &ANSWERS).await else {
            return;
        };
        let version = reply.body["version"].as_i64();
        let is_done = reply.status < 300;
        if let Some(version) = version.filter(|_| is_done) {
            note(version);
        }
        let outcome = if is_done {
            Outcome::Done
        } else {
            Outcome::Refused
        };
        world.note(Entry::WriteEnded { write, outcome });
        // After a refusal it has the current version, or the record exists, or has moved away.
        let current = reply.body["record"]["version"].as_i64();
        self.known[record] = version.filter(|_| is_done).or(current).or(Some(1));
    }

    /// Now and then the record moves to another team or owner as well.
    fn change(&mut self, write: i64) -> Value {
        let mut fields = json!({"purchasePrice": write});
        match self.person.chance.below(8) {
            0 => fields["ownerId"] = json!(self.person.chance.of(&OWNERS)),
            1 => fields["teamId"] = Value::Null,
            2 => fields["teamId"] = json!(SHARED_TEAM),
            _ => {}
        }
        fields
    }
}

fn new_record(id: &str, write: i64) -> Value {
    json!({"id": id, "address": "1 Oak St", "teamId": SHARED_TEAM, "purchasePrice": write, "commission": 7})
}

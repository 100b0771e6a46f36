//! Files that become records, while the instances that work on them are killed.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use super::people::user;
use crate::history::Entry;
use crate::http::{Call, Person};
use crate::support::Chance;
use crate::world::World;

/// More than two batches.
const ROWS: usize = 250;
const REST_MS: usize = 8_000;

/// The imports of a run, by task.
pub type Imports = Arc<Mutex<Vec<String>>>;

pub fn start(world: &Arc<World>, chance: &mut Chance, actors: &mut JoinSet<()>) -> Imports {
    let imports = Imports::default();
    let importer = Importer {
        person: Person::new(world, chance, &user(1)),
        imports: Arc::clone(&imports),
    };
    actors.spawn(importer.run());
    imports
}

struct Importer {
    person: Person,
    imports: Imports,
}

impl Importer {
    async fn run(mut self) {
        while self.person.world.is_busy() {
            if let Some(task) = self.import().await {
                self.imports.lock().expect("imports").push(task);
            }
            self.person.rest(REST_MS).await;
        }
    }

    async fn import(&mut self) -> Option<String> {
        let name = format!("import-{}", self.person.world.number());
        let rows = (0..ROWS).map(|row| format!("{name} {row}\n"));
        let file: String = ["Name\n".to_owned()].into_iter().chain(rows).collect();
        let upload = self
            .person
            .ask(&Call::post("/uploads", Value::String(file)))
            .await?;
        let upload = upload.body["id"].as_str()?.to_owned();
        let params = json!({"module": "leads", "upload": upload, "teamId": "t1"});
        let body = json!({"type": "import_csv", "title": name, "params": params});
        let task = self.person.ask(&Call::post("/tasks", body)).await?;
        task.body["id"].as_str()?;
        Some(name)
    }
}

/// Notes what became of each import.
pub async fn note(world: &World, imports: &Imports) {
    let options = world.database_url.parse().expect("a URL");
    let connection = PgConnection::connect_with(&options).await;
    let mut connection = connection.expect("a connection");
    let names = imports.lock().expect("imports").clone();
    for name in names {
        let sql = "select t.state, count(r.id), count(distinct r.name)
            from porchlight.tasks t left join porchlight.leads r on r.name like t.title || ' %'
            where t.title = $1 group by t.state";
        let found = sqlx::query_as::<_, (String, i64, i64)>(sql).bind(&name);
        let found = found.fetch_optional(&mut connection).await;
        let Some((state, found, different)) = found.expect("records") else {
            continue;
        };
        world.note(Entry::Imported {
            task: name,
            rows: u64::try_from(ROWS).expect("a count"),
            found: u64::try_from(found).expect("a count"),
            different: u64::try_from(different).expect("a count"),
            state,
        });
    }
}

//! Tasks: users who create and cancel them, and workers who do them, lose them, or dawdle.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::outputs::OutputFollower;
use super::people::user;
use crate::history::Entry;
use crate::http::{Call, Person, Reply};
use crate::support::{Chance, Token};
use crate::world::World;

const TASK: &str = "faulty_work";
const USERS: usize = 2;
/// Tasks of one user that have not ended.
const OPEN_TASKS: usize = 4;
const WORKERS: usize = 3;
const REST_MS: usize = 900;
const LEASE_SECONDS: u64 = 3;
/// Pieces of the output of a task.
const PIECES: usize = 6;

pub fn start(world: &Arc<World>, chance: &mut Chance, actors: &mut JoinSet<()>) {
    for n in 0..USERS {
        let asker = Asker {
            person: Person::new(world, chance, &user(n)),
            token: user(n).signed(),
            team: super::people::teams_of(n)[0],
            tasks: Vec::new(),
            open: Arc::new(Semaphore::new(OPEN_TASKS)),
        };
        actors.spawn(asker.run());
    }
    for n in 0..WORKERS {
        let token = Token::user(&format!("w{n}"), &[]).in_role(porchlight::identity::Role::Worker);
        let worker = Worker {
            person: Person::new(world, chance, &token),
        };
        actors.spawn(worker.run());
    }
}

/// What a worker writes in one piece, which is the same in every attempt.
fn piece(task: &str, n: usize) -> String {
    format!("{n}:{task};")
}

/// The whole output of a task that has completed.
pub fn output(task: &str) -> String {
    (0..PIECES).map(|n| piece(task, n)).collect()
}

struct Asker {
    person: Person,
    token: String,
    team: &'static str,
    /// The tasks of a run so far.
    tasks: Vec<String>,
    /// A task has a permit while its output is read.
    open: Arc<Semaphore>,
}

impl Asker {
    async fn run(mut self) {
        while self.person.world.is_busy() {
            let permit = Arc::clone(&self.open).acquire_owned().await;
            let permit = permit.expect("it is never closed");
            if !self.person.world.is_busy() {
                return;
            }
            let body = json!({"type": TASK, "team": self.team, "maxAttempts": 6});
            let reply = self.person.ask(&Call::post("/tasks", body)).await;
            if let Some(task) = reply.as_ref().and_then(|reply| reply.body["id"].as_str()) {
                let task = task.to_owned();
                let world = &Arc::clone(&self.person.world);
                world.note(Entry::TaskAsked { task: task.clone() });
                self.tasks.push(task.clone());
                let follower =
                    OutputFollower::new(world, &mut self.person.chance, self.token.clone(), task);
                tokio::spawn(async move {
                    follower.run().await;
                    drop(permit);
                });
            }
            self.person.rest(REST_MS).await;
            if self.person.chance.below(4) == 0 {
                self.cancel().await;
            }
        }
    }

    async fn cancel(&mut self) {
        let recent = &self.tasks[self.tasks.len().saturating_sub(4)..];
        if !recent.is_empty() {
            let task = self.person.chance.of(recent).clone();
            let path = format!("/tasks/{task}/cancel");
            self.person.ask(&Call::post(&path, json!({}))).await;
        }
    }
}

struct Worker {
    person: Person,
}

/// What a worker has claimed.
struct Claimed {
    task: String,
    fence: i64,
}

impl Worker {
    /// Works on after the calm, until there is nothing left to do.
    async fn run(mut self) {
        let world = Arc::clone(&self.person.world);
        while !world.ended.is_cancelled() {
            match self.claim().await {
                Some(claimed) => self.work(&claimed).await,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn claim(&mut self) -> Option<Claimed> {
        let world = Arc::clone(&self.person.world);
        let asked = world.history.now();
        let body = json!({"types": [TASK], "waitSeconds": 1, "leaseSeconds": LEASE_SECONDS});
        let reply = self.person.ask(&Call::post("/tasks/claim", body)).await?;
        let task = reply.body["task"]["id"].as_str()?.to_owned();
        let fence = reply.body["fence"].as_i64()?;
        world.note(Entry::Claimed {
            task: task.clone(),
            fence,
            asked,
        });
        Some(Claimed { task, fence })
    }

    async fn work(&mut self, claimed: &Claimed) {
        let is_calm = !self.person.world.is_busy();
        let habit = if is_calm {
            99
        } else {
            self.person.chance.below(12)
        };
        if habit == 0 {
            // It dies.
            return;
        }
        let mut offset = 0;
        for n in 0..PIECES {
            let piece = piece(&claimed.task, n);
            if !self.write(claimed, offset, &piece).await {
                return;
            }
            offset += piece.len();
            let most = if habit == 1 { 1_500 } else { 60 };
            self.person.rest(most).await;
            if self.report(claimed, n).await {
                self.end(claimed, "cancelled", json!({})).await;
                return;
            }
        }
        match self.person.chance.below(6) {
            0 => {
                let retryable = self.person.chance.below(2) == 0;
                let error = json!({"code": "unlucky", "message": "No.", "retryable": retryable});
                self.end(claimed, "fail", json!({"error": error})).await;
            }
            _ => self.end(claimed, "complete", json!({})).await,
        }
    }

    /// Writes a piece of output, again and again if need be. Gives whether the task is still its own.
    async fn write(&mut self, claimed: &Claimed, offset: usize, text: &str) -> bool {
        let body = json!({"fence": claimed.fence, "offset": offset, "text": text});
        let path = format!("/tasks/{}/output", claimed.task);
        let reply = self
            .person
            .insist(&Call::post(&path, body), &[200, 404, 409])
            .await;
        reply.is_some_and(|reply| reply.status == 200)
    }

    /// Reports progress. Gives whether it shall stop.
    async fn report(&mut self, claimed: &Claimed, step: usize) -> bool {
        let body = json!({"fence": claimed.fence, "step": step, "steps": PIECES});
        let path = format!("/tasks/{}/progress", claimed.task);
        let reply = self.person.ask(&Call::post(&path, body)).await;
        reply.is_some_and(|reply| reply.body["cancel"] == true)
    }

    /// Says that the task is over, until there is an answer.
    async fn end(&mut self, claimed: &Claimed, how: &str, mut body: Value) {
        let world = Arc::clone(&self.person.world);
        let state = match how {
            "complete" => "completed",
            "fail" if body["error"]["retryable"] == true => "queued",
            "fail" => "failed",
            other => other,
        };
        let (task, fence) = (claimed.task.clone(), claimed.fence);
        body["fence"] = json!(fence);
        let path = format!("/tasks/{task}/{how}");
        let call = Call::post(&path, body);
        let (task, state) = (task, state.to_owned());
        world.note(Entry::TaskEndAsked {
            task: task.clone(),
            fence,
            state: state.clone(),
        });
        let reply = self.person.ask(&call).await;
        let outcome = Reply::outcome(reply.as_ref());
        // A failure that may be repeated is no end, or it is the last attempt.
        if state != "queued" {
            world.note(Entry::TaskEndAnswered {
                task,
                fence,
                state,
                outcome,
            });
        }
    }
}

/// Notes how all tasks are in the end, and whether their output is whole.
pub async fn note_states(world: &World) {
    let options = world.database_url.parse().expect("a URL");
    let connection = PgConnection::connect_with(&options).await;
    let mut connection = connection.expect("a connection");
    let sql = "select id, state from porchlight.tasks where type = $1";
    let states = sqlx::query_as::<_, (String, String)>(sql).bind(TASK);
    let states = states.fetch_all(&mut connection).await.expect("tasks");
    for (task, state) in states {
        if state == "completed" {
            let sql = "select coalesce(string_agg(chunk, '' order by at_byte), '')
                from porchlight.task_output where task_id = $1";
            let text = sqlx::query_scalar::<_, String>(sql).bind(&task);
            let text = text.fetch_one(&mut connection).await.expect("output");
            let whole = text == output(&task);
            world.note(Entry::OutputRead {
                task: task.clone(),
                whole,
            });
        }
        world.note(Entry::TaskState { task, state });
    }
}

/// Whether all tasks have ended, nobody holds a lock, and every write on a watched table is told.
pub async fn have_ended(world: &World) -> bool {
    let options = world.database_url.parse().expect("a URL");
    let Ok(mut connection) = PgConnection::connect_with(&options).await else {
        return false;
    };
    let sql = "select not exists (select from porchlight.tasks where ended_at is null)
            and not exists (select from porchlight.locks where user_id is not null)
            and not exists (select from porchlight.outbox)";
    let ended = sqlx::query_scalar::<_, bool>(sql).fetch_one(&mut connection);
    ended.await.unwrap_or(false)
}

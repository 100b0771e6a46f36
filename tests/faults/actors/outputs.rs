//! Readers of the output of tasks, who come back until the task has ended.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Client;
use tokio::time::timeout;

use super::workers::output;
use crate::history::Entry;
use crate::support::openapi::Head;
use crate::support::requests::client;
use crate::support::{Chance, Stream};
use crate::world::World;

const OPENING: Duration = Duration::from_secs(3);
/// Output may come slowly, but heartbeats come each second or two.
const WATCHDOG: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

pub struct OutputFollower {
    world: Arc<World>,
    chance: Chance,
    client: Client,
    token: String,
    task: String,
    text: String,
    cursor: String,
}

impl OutputFollower {
    /// A new token for each task would be one more that every instance remembers for ten minutes.
    pub fn new(world: &Arc<World>, chance: &mut Chance, token: String, task: String) -> Self {
        Self {
            world: Arc::clone(world),
            chance: chance.fork(),
            client: client(false),
            token,
            task,
            text: String::new(),
            cursor: String::new(),
        }
    }

    pub async fn run(mut self) {
        while !self.world.ended.is_cancelled() {
            if let Some(state) = self.read().await {
                if state == "completed" {
                    let whole = self.text == output(&self.task);
                    let task = self.task.clone();
                    self.world.note(Entry::OutputRead { task, whole });
                }
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads one stream; gives the state of the task if it has ended.
    async fn read(&mut self) -> Option<String> {
        let mut stream = timeout(OPENING, self.open()).await.ok()??;
        while let Ok(Some(message)) = timeout(WATCHDOG, stream.try_next()).await {
            match &message.name[..] {
                "output" => self.text.push_str(message.json()["text"].as_str()?),
                "restart" => self.text.clear(),
                "end" => return Some(message.json()["state"].as_str()?.to_owned()),
                _ => {}
            }
            if message.has_id {
                self.cursor.clone_from(&message.id);
            }
        }
        None
    }

    async fn open(&mut self) -> Option<Stream> {
        let at = self.chance.below(self.world.instances.len());
        let path = format!("/tasks/{}/output", self.task);
        let request = self.client.get(self.world.instances[at].url(&path));
        let request = request.bearer_auth(&self.token);
        let request = match &self.cursor[..] {
            "" => request,
            cursor => request.header("Last-Event-ID", cursor),
        };
        let response = request.send().await.ok()?;
        let head = Head {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
        };
        let body = response.bytes_stream();
        let body = body.take_while(|part| std::future::ready(part.is_ok()));
        let body = body.filter_map(|part| std::future::ready(part.ok()));
        (head.status == 200).then(|| Stream::not_compared(head, Box::pin(body)))
    }
}

//! Tasks that end, and what they wrote.

use serde_json::Value;

use super::{Service, Stream, Token, eventually};

/// Waits until a task has ended, and gives it.
pub async fn ended(service: &Service, who: &Token, task: &str) -> Value {
    eventually("the task ends", async || {
        let task = service.list(&format!("/tasks/{task}"), who).await;
        task["endedAt"].is_string().then_some(task)
    })
    .await
}

/// Reads a stream of output to its end: the text, and the state in which the task ended.
pub async fn whole_output(stream: &mut Stream) -> (String, Value) {
    let mut text = String::new();
    loop {
        let message = stream.next_of_all().await;
        match &message.name[..] {
            "output" => text.push_str(message.json()["text"].as_str().expect("text")),
            "restart" => text.clear(),
            "stream:ready" => {}
            "end" => return (text, message.json()["state"].clone()),
            other => panic!("{other}: {}", message.data),
        }
    }
}

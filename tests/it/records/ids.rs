//! Ids that clients choose: what a refusal reveals of other teams' records.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Call, admin, agent, body};
use crate::support::cluster::TestDatabase;
use crate::support::{Service, Token, eventually};

const UUID: &str = "6f1c2b7e-9d4a-4c55-a1f6-f3a0f8f9a001";

/// With the rule that a service has by itself.
async fn service() -> Service {
    let database = Arc::new(TestDatabase::create().await);
    Service::on(database, &["--record-ids=uuid", "--with-worker"]).await
}

#[tokio::test]
async fn an_agent_cannot_find_out_which_ids_another_team_has() {
    let service = service().await;
    let eve = Token::user("eve", &["z"]);
    let theirs = json!({"id": "e-1", "address": "1 Oak St"});
    body(
        &Call::by(&service, &admin(&["a"]))
            .create("escrows", &theirs)
            .await,
        201,
    );
    let mut answers = Vec::new();
    for id in ["e-1", "e-2"] {
        let fields = json!({"id": id, "address": "2 Elm St"});
        let answer = Call::by(&service, &eve).create("escrows", &fields).await;
        let field = answer.refused(400, "invalid_field", id);
        assert_eq!(field.as_deref(), Some("id"));
        answers.push(answer.text);
    }
    assert_eq!(answers[0], answers[1], "taken and free look the same");
    assert!(answers[0].contains("random UUID"), "{}", answers[0]);
}

#[tokio::test]
async fn agents_choose_uuids_and_who_runs_the_brokerage_chooses_any_id() {
    let service = service().await;
    let ann = agent("ann");
    let fields = json!({"id": UUID, "address": "1 Oak St"});
    let made = body(
        &Call::by(&service, &ann).create("escrows", &fields).await,
        201,
    );
    assert_eq!(made["id"], UUID);
    let eve = Token::user("eve", &["z"]);
    let seen = Call::by(&service, &ann).create("escrows", &fields).await;
    let unseen = Call::by(&service, &eve).create("escrows", &fields).await;
    assert_eq!(seen.refused(409, "id_taken", UUID).as_deref(), Some("id"));
    assert_eq!(seen.text, unseen.text);
    for who in [admin(&["a"]), Token::service("b")] {
        let fields = json!({"id": format!("of-{}", who.user), "address": "2 Elm St"});
        body(
            &Call::by(&service, &who).create("escrows", &fields).await,
            201,
        );
    }
    let none = json!({"address": "3 Fir St"});
    let made = body(
        &Call::by(&service, &ann).create("escrows", &none).await,
        201,
    );
    assert!(
        made["id"].as_str().is_some_and(|id| id.len() >= 20),
        "{made}"
    );
}

#[tokio::test]
async fn a_file_of_an_agents_has_uuids_or_no_ids() {
    let service = service().await;
    let csv = format!("Address,Id\n1 Oak St,{UUID}\n2 Elm St,\n3 Fir St,e-1\n");
    for (who, created) in [(agent("ann"), 2), (admin(&["a"]), 2)] {
        // The admin's file has the UUID of the agent's record again.
        let params = json!({"module": "escrows", "csv": csv});
        let task = json!({"type": "import_csv", "params": params});
        let call = Call::by(&service, &who);
        let made = body(
            &call.send(reqwest::Method::POST, "/tasks", &task).await,
            201,
        );
        let id = made["id"].as_str().expect("an id");
        let task: Value = eventually("the import ends", async || {
            let task = service.list(&format!("/tasks/{id}"), &who).await;
            task["endedAt"].is_string().then_some(task)
        })
        .await;
        assert_eq!(task["result"]["created"], created, "{task}");
        let reason = task["result"]["errors"][0]["reason"].to_string();
        let expected = if who.user == "ann" {
            "must be a random UUID"
        } else {
            "cannot be used"
        };
        assert!(reason.contains(expected), "{reason}");
    }
}

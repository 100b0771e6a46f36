//! Whose rights an import has: those of whoever asked.

use serde_json::{Value, json};

use super::{WORKING, ann, import, refused, result, upload, working};
use crate::support::people::admin;
use crate::support::{Service, Token};

#[tokio::test]
async fn nobody_uses_what_another_has_uploaded() {
    let service = working().await;
    let ann = ann();
    let file = upload(&service, &ann, "Name\nAnn\n").await;
    let params = json!({"module": "leads", "upload": file});
    let others = [
        Token::user("bob", &["a"]),
        admin(&[]),
        ann.clone().of("other"),
    ];
    for other in others {
        let (field, reason, _) = refused(&service, &other, params.clone()).await;
        assert_eq!(
            (&*field, &*reason),
            ("params.upload", "no_such_upload"),
            "{other:?}"
        );
    }
    assert_eq!(result(&import(&service, &ann, params).await)["created"], 1);
}

#[tokio::test]
async fn records_go_to_teams_of_the_user_and_no_others() {
    let service = working().await;
    let ann = Token::user("ann", &["a", "b"]);
    let csv = "Name,Team Id\nOne,\nTwo,b\nThree,c\n";
    let params = |team: Value| json!({"module": "leads", "csv": csv, "teamId": team});
    let (field, reason, _) = refused(&service, &ann, params(json!("c"))).await;
    assert_eq!((&*field, &*reason), ("params.teamId", "not_your_team"));
    let done = result(&import(&service, &ann, params(json!("b"))).await);
    assert_eq!((&done["created"], &done["bad"]), (&json!(2), &json!(1)));
    let expected = json!([{"line": 4, "column": "Team Id", "field": "teamId",
        "reason": "is a team that you are not on"}]);
    assert_eq!(done["errors"], expected);
    // Her first team, where nothing else is said.
    result(
        &import(
            &service,
            &ann,
            json!({"module": "clients", "csv": "Name\nOne"}),
        )
        .await,
    );
    let clients = service.list("/records/clients", &ann).await;
    assert_eq!(clients["records"][0]["teamId"], "a");
    let leads = service
        .list("/records/leads", &Token::user("bob", &["b"]))
        .await;
    assert_eq!(leads["records"].as_array().unwrap().len(), 2);
    let none = service
        .list("/records/leads", &Token::user("eve", &["c"]))
        .await;
    assert_eq!(none["records"], json!([]));
    // Who runs the brokerage gives records to any team.
    let done = result(&import(&service, &admin(&[]), params(json!("c"))).await);
    assert_eq!((&done["created"], &done["bad"]), (&json!(3), &json!(0)));
    // Another brokerage sees nothing of it.
    let other = service
        .list("/records/leads", &ann.clone().of("other"))
        .await;
    assert_eq!(other["records"], json!([]));
}

#[tokio::test]
async fn a_private_value_is_in_no_message_no_output_and_no_event_for_others() {
    const SECRET: &str = "s3cr3t-notes";
    let service = Service::with(WORKING).await;
    let ann = ann();
    let mut team = service
        .stream("/stream/team", &Token::user("bob", &["a"]))
        .await;
    let csv = format!("Name,Notes,Score\nOne,{SECRET},\nTwo,{SECRET},{SECRET}\n,{SECRET},1\n");
    let body =
        json!({"type": "import_csv", "team": "a", "params": {"module": "leads", "csv": csv}});
    let made = super::post(&service, &ann, "/tasks", &body).await.json();
    let id = made["id"].as_str().unwrap();
    let task = super::ended(&service, &ann, id).await;
    assert_eq!(result(&task)["bad"], 2);
    let received = json!([task["result"], task["message"], task["partial"]]).to_string();
    let lines = super::output(&service, &ann, id).await.join("\n");
    loop {
        let message = team.next_logged().await;
        assert!(!message.data.contains(SECRET), "{}", message.data);
        if message.name == "ai:task:completed" {
            break;
        }
    }
    assert!(
        !received.contains(SECRET) && !lines.contains(SECRET),
        "{received}\n{lines}"
    );
    let shown = service.list(&format!("/tasks/{id}"), &ann).await;
    assert!(shown["onBehalf"].is_null(), "{shown}");
}

//! `GET /admin/connections`, and ending them.

use std::io::Write;
use std::net::TcpStream;

use porchlight::identity::Role;
use serde_json::{Value, json};

use super::{admin, ann, seen};
use crate::support::ends::last_words;
use crate::support::instances::two;
use crate::support::requests::{post, posted};
use crate::support::{Answer, Service, Stream, Token, eventually, for_team};

async fn open(service: &Service, path: &str, who: &Token) -> (Stream, String) {
    let mut stream = service.stream(path, who).await;
    let ready = stream.next().await;
    assert_eq!(ready.name, "stream:ready", "{ready:?}");
    let id = ready.json()["stream"].as_str().expect("an id").to_owned();
    (stream, id)
}

/// All connections, when there are so many.
async fn listed(service: &Service, count: usize) -> Vec<Value> {
    eventually("all connections are listed", async || {
        let list = seen(service, "/admin/connections").await;
        let connections = list["connections"].as_array().expect("a list").clone();
        (connections.len() == count).then_some(connections)
    })
    .await
}

fn of<'a>(connections: &'a [Value], id: &str) -> &'a Value {
    let mut connections = connections.iter();
    let found = connections.find(|connection| connection["id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not listed"))
}

async fn disconnect(service: &Service, who: &Token, id: &str) -> Answer {
    let path = format!("/admin/connections/{id}/disconnect");
    post(service, who, &path, &json!({})).await
}

#[tokio::test]
async fn everything_that_is_open_is_listed_with_how_far_it_is() {
    let instances = two(&[]).await;
    let [one, other] = &instances;
    let task = posted(one, &ann(), "/tasks", &json!({"type": "x"})).await;
    let task = task["id"].as_str().expect("an id").to_owned();
    let wes = Token::user("wes", &[]).in_role(Role::Worker);
    let (mut team, team_id) = open(one, "/stream/team", &ann().called("Ann")).await;
    let (_record, record_id) = open(other, "/stream/records/escrows/e-1", &ann()).await;
    let (_output, output_id) = open(other, &format!("/tasks/{task}/output"), &ann()).await;
    let (_worker, worker_id) = open(one, "/stream/worker", &wes).await;
    let poll = one.get("/events?wait=60&types=none:*", &ann());
    let poll = tokio::spawn(Answer::to(poll));
    // Another brokerage's is not.
    let (_foreign, _) = open(one, "/stream", &ann().of("c")).await;
    one.publish(&for_team("a", 1)).await;
    team.next_logged().await;
    let all = listed(other, 5).await;
    let first = of(&all, &team_id);
    assert_eq!(
        (&first["kind"], &first["userId"], &first["userName"]),
        (&json!("stream"), &json!("ann"), &json!("Ann"))
    );
    assert_eq!(
        (&first["scope"], &first["role"]),
        (&json!("team"), &json!("agent"))
    );
    assert_eq!(
        (&first["address"], &first["teams"]),
        (&json!("127.0.0.1"), &json!(["a"]))
    );
    assert_eq!(
        (&first["events"], &first["behindEvents"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(first["isBlocked"], false);
    assert!(first["bytes"].as_u64().expect("bytes") > 100);
    assert_eq!(of(&all, &record_id)["scope"], "record:escrows/e-1");
    assert_eq!(of(&all, &worker_id)["scope"], "worker");
    let output = of(&all, &output_id);
    assert_eq!(
        (&output["kind"], &output["scope"]),
        (&json!("output"), &json!(format!("task:{task}")))
    );
    assert_eq!(output["events"], Value::Null);
    let mut waiting = all
        .iter()
        .filter(|connection| connection["kind"] == "waiting");
    let waiting = waiting.next().expect("the long poll");
    assert_ne!(first["instance"], output["instance"]);
    // Pages, at either instance.
    let (mut paged, mut path) = (Vec::new(), "/admin/connections?limit=2".to_owned());
    loop {
        let page = seen(one, &path).await;
        assert_eq!(page["total"], 5);
        paged.extend(
            page["connections"]
                .as_array()
                .expect("a list")
                .iter()
                .cloned(),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/admin/connections?limit=2&cursor={next}");
    }
    let ids = |all: &[Value]| all.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&paged), ids(&all));
    let of_wes = seen(other, "/admin/connections?user=wes").await;
    assert_eq!(of_wes["total"], 1);
    for bad in ["limit=0", "limit=201", "user=", "cursor=%20", "x=1"] {
        let path = format!("/admin/connections?{bad}");
        let answer = Answer::to(one.get(&path, &admin())).await;
        answer.refused(400, "invalid_parameter", bad);
    }
    // A request that waits is answered at once.
    let id = waiting["id"].as_str().expect("an id");
    let answer = disconnect(other, &admin(), id).await;
    assert_eq!(
        (answer.status, &answer.json()["instance"]),
        (200, &waiting["instance"])
    );
    assert_eq!(poll.await.expect("an answer").json()["events"], json!([]));
}

#[tokio::test]
async fn an_admin_ends_a_stream_at_whichever_instance_it_is() {
    let instances = two(&[]).await;
    let boss = admin();
    for instance in &instances {
        let (mut stream, id) = open(instance, "/stream/team", &ann()).await;
        let (mut left, _) = open(instance, "/stream/team", &ann()).await;
        let foreign = boss.clone().of("c");
        disconnect(&instances[0], &foreign, &id).await.refused(
            404,
            "unknown_connection",
            "of another brokerage",
        );
        let answer = disconnect(&instances[0], &boss, &id).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["id"], id.as_str());
        let closing = last_words(&mut stream).await;
        assert_eq!(closing["reason"], "disconnected");
        let retry = closing["retryMs"].as_u64().expect("a time");
        assert!((120_000..=240_000).contains(&retry), "{retry}");
        instance.publish(&for_team("a", 1)).await;
        left.next_logged().await;
    }
    disconnect(&instances[0], &boss, "5f0c2b7e9d4a4c55a1f6f3a0f8f9a001")
        .await
        .refused(404, "unknown_connection", "one that is none");
    let strange = disconnect(&instances[0], &boss, "a%20b").await;
    strange.refused(400, "invalid_parameter", "no id");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_seen_to_be_behind() {
    let service = Service::start().await;
    let mut socket = TcpStream::connect(service.addr).expect("a connection");
    let token = ann().signed();
    let request =
        format!("GET /stream/team HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("a request");
    listed(&service, 1).await;
    let data = "x".repeat(60_000);
    let event = json!({"type": "test:large", "audience": {"team": "a"}, "data": data});
    eventually("the stream is behind", async || {
        service.publish(&json!({"events": vec![&event; 4]})).await;
        let list = seen(&service, "/admin/connections").await;
        let stream = &list["connections"][0];
        let behind = stream["behindEvents"].as_u64();
        // With a part of the last event in the socket it is blocked, and not behind yet.
        (stream["isBlocked"] == true && behind > Some(0)).then_some(())
    })
    .await;
    drop(socket);
    listed(&service, 0).await;
}

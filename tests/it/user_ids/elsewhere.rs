//! Records, watched tables, activity and the command line.

use std::process::Command;

use sqlx::{AssertSqlSafe, Executor};

use super::{USERS, agent, list, posted};
use crate::support::service::SECRET;
use crate::support::{Answer, Service, eventually};
use porchlight::identity::Role;
use serde_json::json;

#[tokio::test]
async fn records_are_owned_by_their_user() {
    let service = Service::start().await;
    let admin = agent("boss").in_role(Role::Admin);
    for (n, user) in USERS.iter().enumerate() {
        let (who, other) = (agent(user), agent(USERS[(n + 1) % USERS.len()]));
        let body = json!({"id": format!("e-{n}"), "address": "1 Oak St", "teamId": "a", "ownerId": user,
            "commission": 7});
        assert_eq!(
            posted(&service, &admin, "/records/escrows", &body).await["ownerId"],
            *user
        );
        let owned = list(&service, &who, "/records/escrows", &[("owner", user)]).await;
        assert_eq!(owned["records"].as_array().unwrap().len(), 1, "{user}");
        // What is private is theirs alone.
        assert_eq!(owned["records"][0]["commission"], 7, "{user}");
        let path = format!("/records/escrows/e-{n}");
        let masked = list(&service, &other, &path, &[]).await;
        assert_eq!(masked["commission"], "[REDACTED]", "{user}");
        // A colleague changes it: the owner is notified, and everybody reads who did it.
        let change = service.client.patch(service.url(&path));
        let change = change
            .bearer_auth(other.signed())
            .header("If-Match", "\"1\"");
        let answer = Answer::to(change.json(&json!({"status": "pending"}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        eventually("the owner is notified", async || {
            let had = list(&service, &who, "/notifications", &[]).await;
            let title = had["notifications"][0]["title"].as_str()?;
            title.starts_with(&other.user).then_some(())
        })
        .await;
        let record = format!("e-{n}");
        let query = [
            ("user", &*other.user),
            ("module", "escrows"),
            ("recordId", &record),
        ];
        let acts = list(&service, &who, "/activity", &query).await;
        assert_eq!(acts["activity"].as_array().unwrap().len(), 1, "{user}");
        assert_eq!(acts["activity"][0]["userId"], other.user);
    }
}

#[tokio::test]
async fn watched_tables_and_emitted_events_name_their_users() {
    let service = Service::start().await;
    let mut sql = service.database.connect().await;
    sql.execute(
        "create table public.boats (id text primary key, broker_id text default 'b', team_id text default 'a',
             owner_id text, updated_by text, fee numeric);
         select porchlight.watch('public.boats', module => 'listings', broker_column => 'broker_id',
             team_column => 'team_id', owner_column => 'owner_id', actor_column => 'updated_by',
             private_columns => '{fee}')",
    )
    .await
    .unwrap();
    for (n, user) in USERS.iter().enumerate() {
        let quoted = user.replace('\'', "''");
        let audience = json!({"user": user}).to_string().replace('\'', "''");
        let written = format!(
            "insert into public.boats (id, owner_id, updated_by, fee) values ('l-{n}', '{quoted}', '{quoted}', 7);
             begin; set local porchlight.user_id = '{quoted}';
             select porchlight.emit('boat:moored', '{audience}', broker => 'b'); commit"
        );
        let mut stream = service.stream("/stream", &agent(user)).await;
        sql.execute(AssertSqlSafe(written)).await.unwrap();
        let (created, moored) = (
            stream.next_logged().await.json(),
            stream.next_logged().await.json(),
        );
        assert_eq!(
            (&created["type"], &created["userId"]),
            (&json!("listing:created"), &json!(user))
        );
        assert_eq!(created["data"]["fee"], 7, "the owner sees it: {user}");
        assert_eq!(
            (&moored["type"], &moored["userId"]),
            (&json!("boat:moored"), &json!(user))
        );
    }
    let poison = sqlx::query_scalar::<_, i64>("select count(*) from porchlight.poison");
    assert_eq!(poison.fetch_one(&mut sql).await.unwrap(), 0);
}

#[tokio::test]
async fn the_command_line_makes_tokens_for_them() {
    let service = Service::start().await;
    for user in USERS {
        let made = Command::new(env!("CARGO_BIN_EXE_porchlight"))
            .args(["token", "--broker=b", &format!("--user={user}")])
            .env_clear()
            .env("JWT_SECRET", SECRET)
            .current_dir(std::env::temp_dir())
            .output()
            .unwrap();
        assert!(made.status.success(), "{user}: {made:?}");
        let token = String::from_utf8(made.stdout).unwrap();
        let request = service.client.get(service.url("/stream/user"));
        let mut stream = crate::support::Stream::open(request.bearer_auth(token.trim())).await;
        assert_eq!(stream.next().await.json()["scopes"]["user"], user);
    }
}

//! A query that cannot work is refused at start.

use serde_json::{Value, json};

use super::{crm, get, token};
use crate::support::command::porchlight;
use crate::support::service::SECRET;
use crate::support::{Answer, Service};

#[tokio::test]
async fn a_query_that_cannot_work_is_refused_at_start_with_the_reason() {
    let (database, mut sql) = crm().await;
    super::run(&mut sql, "create sequence public.counter").await;
    let url = database.url();
    for (query, reason) in [
        ("selec broker_id from public.teams", "syntax error"),
        ("select broker_id from public.nowhere", "public.nowhere"),
        ("select id, broker_id from public.teams", "2 columns"),
        ("select $3", "3 parameters"),
        ("select 'b'; drop table public.users", "multiple commands"),
        (
            "update public.teams set broker_id = 'x' returning broker_id",
            "syntax error",
        ),
        (
            "select nextval('public.counter')::text",
            "read-only transaction",
        ),
        ("select pg_sleep(60)::text", "statement timeout"),
        ("  ", "0 columns"),
    ] {
        let variables = [
            ("JWT_SECRET", SECRET),
            ("DATABASE_URL", url.as_str()),
            ("PORCHLIGHT_ADDR", "127.0.0.1:0"),
            ("PORCHLIGHT_BROKER_QUERY", query),
        ];
        let ended = porchlight(&["serve"], &variables).await;
        assert_eq!(ended.code, Some(1), "{query}: {}", ended.stderr);
        for words in ["PORCHLIGHT_BROKER_QUERY", reason, "For example: select"] {
            assert!(
                ended.stderr.contains(words),
                "{query}: {words}: {}",
                ended.stderr
            );
        }
    }
}

#[tokio::test]
async fn any_select_of_one_column_will_do() {
    let (database, _) = crm().await;
    for query in [
        "--broker-query=select 'b'",
        "--broker-query=select broker_id from public.teams where id = 1;",
        "--broker-query=with t as (select * from public.teams) select broker_id from t where id = 1 -- the first",
        "--broker-query=values ('b')",
        "--broker-query=select case $2 when '1' then 'b' end",
        "--broker-query=select broker_id::varchar(8) from public.teams t where t.id::text = $2 and $1 <> ''",
    ] {
        let service = Service::on(database.clone(), &[query]).await;
        let answer = Answer::to(get(&service, "/events", &token(&json!("u"), &json!(1)))).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    }
    // A broker's id may be a number there.
    let service = Service::on(database, &["--broker-query=select 7"]).await;
    let (_, broker) = super::opened(&service, "/stream", &token(&json!("u"), &Value::Null)).await;
    assert_eq!(broker, "7");
}

#[tokio::test]
async fn without_a_query_such_a_token_is_refused_as_before() {
    let service = Service::start().await;
    let answer = Answer::to(get(&service, "/events", &token(&json!(11), &json!(1)))).await;
    let field = answer.refused(401, "token_claim_missing", "no broker");
    assert_eq!(field.as_deref(), Some("broker_id"));
}

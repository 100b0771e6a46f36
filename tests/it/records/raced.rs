//! Several users write at once: nothing is lost.

use serde_json::{Value, json};

use super::{Call, agent, body, two};
use crate::support::{Service, Token, short_or_long};

/// Changes that each of two people makes.
fn each() -> usize {
    short_or_long(150, 500)
}

/// Raises a number by one, and retries until that is accepted.
async fn increment(service: &Service, who: &Token, value: &mut Value) {
    loop {
        let version = value["version"].as_i64().expect("a version");
        let score = value["squareFeet"].as_i64().expect("a number") + 1;
        let call = Call::by(service, who).knowing(version);
        let answer = call
            .patch("listings/l-1", &json!({"squareFeet": score}))
            .await;
        match answer.status {
            200 => {
                *value = answer.json();
                return;
            }
            409 => *value = answer.json()["record"].clone(),
            _ => panic!("{}", answer.text),
        }
    }
}

#[tokio::test]
async fn two_people_patch_one_record_again_and_again_and_nothing_is_lost() {
    let [a, b] = two(&[]).await;
    let mut sql = a.database.connect().await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let fields = json!({"id": "l-1", "address": "1", "squareFeet": 0});
    let first = body(&Call::by(&a, &ann).create("listings", &fields).await, 201);
    let person = async |service: &Service, who: &Token| {
        let mut value = first.clone();
        for _ in 0..each() {
            increment(service, who, &mut value).await;
        }
    };
    tokio::join!(person(&a, &ann), person(&b, &bob));
    let last = body(&Call::by(&a, &ann).get("listings/l-1").await, 200);
    assert_eq!(
        (&last["squareFeet"], &last["version"]),
        (&json!(2 * each()), &json!(2 * each() + 1))
    );
    // Every version was published, once and in order.
    let sql_of = "select count(*) from (
        select version, lag(version) over (order by position) as before
        from porchlight.events where record_id = 'l-1') e
        where before is null and version = 1 or version = before + 1";
    super::until_counted(
        &mut sql,
        sql_of,
        i64::try_from(2 * each() + 1).expect("small"),
    )
    .await;
}

#[tokio::test]
async fn two_people_at_different_fields_never_collide_when_they_merge() {
    let [a, b] = two(&[]).await;
    let (ann, bob) = (agent("ann"), agent("bob"));
    let fields = json!({"id": "l-1", "address": "1", "bedrooms": 0, "squareFeet": 0});
    body(&Call::by(&a, &ann).create("listings", &fields).await, 201);
    let person = async |service: &Service, who: &Token, field: &str| {
        let mut version = 1;
        for n in 1..=200 {
            let call = Call::by(service, who).knowing(version);
            let answer = call
                .patch("listings/l-1?merge=fields", &json!({field: n}))
                .await;
            version = body(&answer, 200)["version"].as_i64().expect("a version");
        }
    };
    tokio::join!(person(&a, &ann, "bedrooms"), person(&b, &bob, "squareFeet"));
    let last = body(&Call::by(&a, &ann).get("listings/l-1").await, 200);
    assert_eq!(
        (&last["bedrooms"], &last["squareFeet"]),
        (&json!(200), &json!(200))
    );
    assert_eq!(last["version"], 401);
}

#[tokio::test]
async fn an_id_that_many_want_is_given_once() {
    let [a, b] = two(&[]).await;
    let ann = agent("ann");
    let fields = json!({"id": "l-1", "address": "1"});
    let want = async |service: &Service| {
        Call::by(service, &ann)
            .create("listings", &fields)
            .await
            .status
    };
    let statuses = tokio::join!(want(&a), want(&b), want(&a), want(&b), want(&a), want(&b));
    let mut statuses = [
        statuses.0, statuses.1, statuses.2, statuses.3, statuses.4, statuses.5,
    ];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
}

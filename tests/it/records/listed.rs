//! Lists: filtered, sorted, page by page.

use serde_json::{Value, json};

use super::{Call, agent, body, ids, run, two};
use crate::support::{Service, Token};

/// All ids of a list, page by page.
async fn all(service: &Service, who: &Token, query: &str, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/records/leads?{query}&limit={limit}{cursor}");
        let page = service.list(&path, who).await;
        let page_ids = ids(&page);
        assert!(page_ids.len() <= limit);
        found.extend(page_ids.into_iter().map(ToOwned::to_owned));
        assert!(found.len() <= 1_000, "pages repeat: {path}");
        let Some(next) = page["next"].as_str() else {
            return found;
        };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn pages_of_every_order_join_to_the_whole_list() {
    let [a, b] = two(&[]).await;
    let mut sql = a.database.connect().await;
    let ann = agent("ann");
    run(&mut sql, "insert into porchlight.leads (broker_id, id, name, score, budget, follow_up_on, email)
        select 'b', 'l-' || i, (array['Ann', 'ann', 'Bob', 'bób', '%', 'a_b'])[i % 6 + 1],
            nullif(i % 5, 0), nullif(i % 7, 0) * 1000.5, case when i % 3 > 0 then date '2025-01-01' + i % 4 end,
            case when i % 2 = 0 then 'x' || i % 3 || '@example.com' end
        from generate_series(1, 60) i").await;
    for (sort, order) in [
        ("name", "lower(name) collate \"C\" asc"),
        ("-name", "lower(name) collate \"C\" desc"),
        ("score", "score asc"),
        ("-score", "score desc"),
        ("budget", "budget asc"),
        ("-budget", "budget desc"),
        ("followUpOn", "follow_up_on asc"),
        ("-followUpOn", "follow_up_on desc"),
        ("email", "lower(email) collate \"C\" asc"),
        ("-createdAt", "created_at desc"),
        ("updatedAt", "updated_at asc"),
        ("id", "id collate \"C\" asc"),
        ("-version", "version desc"),
        ("-archivedAt", "archived_at desc"),
        ("status", "status asc"),
        ("ownerId", "owner_id asc"),
        ("teamId", "team_id"),
    ] {
        let sql_of = format!(
            "select id from porchlight.leads order by {order} nulls last, id collate \"C\""
        );
        let expected: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql_of))
            .fetch_all(&mut sql)
            .await
            .expect("ids");
        for limit in [7, 60, 200] {
            assert_eq!(
                all(&b, &ann, &format!("sort={sort}"), limit).await,
                expected,
                "{sort} {limit}"
            );
        }
    }
    let answer = Call::by(&a, &ann).get("leads").await;
    assert_eq!(ids(&body(&answer, 200)).len(), 50);
    let page = a.list("/records/leads?sort=score&limit=3", &ann).await;
    let cursor = page["next"].as_str().expect("a cursor");
    for other in [
        "leads?sort=-score",
        "leads?sort=budget",
        "leads?",
        "clients?sort=id",
    ] {
        let answer = Call::by(&a, &ann)
            .get(&format!("{other}&cursor={cursor}"))
            .await;
        answer.refused(400, "invalid_parameter", other);
    }
}

#[tokio::test]
async fn what_does_not_change_is_neither_skipped_nor_repeated_while_others_do() {
    let [a, b] = two(&[]).await;
    let mut sql = a.database.connect().await;
    let ann = agent("ann");
    run(
        &mut sql,
        "insert into porchlight.leads (broker_id, id, name, score)
        select 'b', 'l-' || i, 'n', i % 10 from generate_series(1, 100) i",
    )
    .await;
    let still = |id: &String| {
        id.rsplit('-')
            .next()
            .and_then(|n| n.parse().ok())
            .is_some_and(|n: u32| n.is_multiple_of(2))
    };
    let churn = async {
        for n in 0..50 {
            let (odd, score) = (2 * n + 1, (n * 7) % 10);
            let path = format!("leads/l-{odd}");
            let answer = match n % 3 {
                0 => {
                    Call::by(&b, &ann)
                        .patch(&path, &json!({"score": score}))
                        .await
                }
                1 => Call::by(&b, &ann).delete(&path).await,
                _ => {
                    Call::by(&b, &ann)
                        .create(
                            "leads",
                            &json!({"name": "n", "score": score, "id": format!("new-{odd}")}),
                        )
                        .await
                }
            };
            assert!(answer.status < 300, "{}", answer.text);
        }
    };
    let read = async {
        for _ in 0..4 {
            for sort in ["score", "-score", "-createdAt"] {
                let mut found = all(&a, &ann, &format!("sort={sort}"), 9).await;
                found.retain(still);
                let found = found
                    .into_iter()
                    .filter(|id| id.starts_with("l-"))
                    .collect::<Vec<_>>();
                let distinct: std::collections::BTreeSet<_> = found.iter().collect();
                assert_eq!((found.len(), distinct.len()), (50, 50), "{sort}");
            }
        }
    };
    tokio::join!(churn, read);
}

#[tokio::test]
async fn filters_narrow_a_list_and_mean_what_they_say() {
    let [a, _] = two(&[]).await;
    let ann = Token::user("ann", &["a", "b"]);
    for fields in [
        json!({"id": "1", "name": "Ann O'Hara", "email": "a%b@example.com", "status": "new"}),
        json!({"id": "2", "name": "Bob", "interest": "Ann Arbor 100%", "status": "lost", "ownerId": "bob"}),
        json!({"id": "3", "name": "under_score", "source": "C:\\path", "status": "new", "teamId": "b"}),
        json!({"id": "4", "name": "Élan\nvital", "status": "new", "teamId": null}),
        json!({"id": "5", "name": "gone Ann", "status": "new"}),
    ] {
        body(&Call::by(&a, &ann).create("leads", &fields).await, 201);
    }
    Call::by(&a, &ann).put("leads/5", "archive").await;
    for (query, expected) in [
        ("", &["1", "2", "3", "4"][..]),
        ("archived=all", &["1", "2", "3", "4", "5"]),
        ("archived=true", &["5"]),
        ("status=new", &["1", "3", "4"]),
        ("status=qualified", &[]),
        ("owner=bob", &["2"]),
        ("team=b", &["3"]),
        ("q=ann", &["1", "2"]),
        ("q=ANN%20o%27hara", &["1"]),
        ("q=ann%20bob", &["2"]),
        ("q=%25", &["1", "2"]),
        ("q=100%25", &["2"]),
        ("q=r_s", &["3"]),
        ("q=_", &["3"]),
        ("q=%5C", &["3"]),
        ("q=vital", &["4"]),
        ("q=%C3%A9LAN", &["4"]),
        ("q=.*", &[]),
        ("q=lost", &[]),
        ("q=%20%20", &["1", "2", "3", "4"]),
        ("q=ann&status=new&archived=all", &["1", "5"]),
        ("q=%27%3B%20drop%20table", &[]),
    ] {
        let page = a
            .list(&format!("/records/leads?sort=id&{query}"), &ann)
            .await;
        assert_eq!(ids(&page), expected, "{query}");
        assert_eq!(page["next"], Value::Null);
    }
}

#[tokio::test]
async fn a_brokerage_without_a_log_has_a_position_too() {
    let [a, b] = two(&[]).await;
    let ann = agent("ann").of("new");
    let answer = Call::by(&a, &ann).get("leads").await;
    assert_eq!(body(&answer, 200), json!({"records": [], "next": null}));
    let position = answer.header("stream-position").to_owned();
    assert!(position.starts_with("0-"), "{position}");
    let mut stream = b.stream(&format!("/stream?since={position}"), &ann).await;
    body(
        &Call::by(&a, &ann)
            .create("leads", &json!({"name": "x"}))
            .await,
        201,
    );
    assert_eq!(stream.next_logged().await.json()["type"], "lead:created");
}

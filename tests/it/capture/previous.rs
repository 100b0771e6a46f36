//! What the log stores and no client receives: previous values, and the record's owner.

use serde_json::{Value, json};

use super::{Crm, agent};

/// What the log keeps of each event of a record, in order: its action, owner and previous values.
async fn kept(crm: &mut Crm) -> Vec<(String, Option<String>, Option<String>)> {
    crm.listed().await;
    let sql = "select type, owner_id, previous::text from porchlight.events
         where record_id is not null order by position";
    let rows = sqlx::query_as(sql).fetch_all(&mut crm.sql);
    rows.await.expect("events")
}

#[tokio::test]
async fn the_log_keeps_what_changed_as_it_was_before_and_whose_the_record_is() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id, agent_id, list_price, commission, notes)
             values ('l-1', 'a', 'ann', 400000.00, 1, 'n');
         update public.listings set list_price = 395000, commission = 2, notes = 'm';
         update public.listings set commission = 3;
         update public.listings set version = 2;
         update public.listings set archived_at = '2025-01-01', agent_id = 'bob';
         delete from public.listings",
    )
    .await;
    let expected = [
        // Where there is something private, the owner is whoever it was last.
        ("listing:created", "bob", None),
        ("listing:updated", "bob", Some(r#"{"listPrice":400000.00}"#)),
        ("listing:updated", "bob", None),
        ("listing:updated", "ann", Some(r#"{"version":1}"#)),
        (
            "listing:archived",
            "bob",
            Some(r#"{"agentId":"ann","archivedAt":null}"#),
        ),
        ("listing:deleted", "bob", None),
    ];
    let owned = |text: &str| Some(text.to_owned());
    let expected = expected.map(|(action, owner, previous)| {
        (action.to_owned(), owned(owner), previous.and_then(owned))
    });
    assert_eq!(kept(&mut crm).await, expected);
}

#[tokio::test]
async fn previous_values_are_sent_to_nobody() {
    let mut crm = Crm::with_listings().await;
    let mut streams = [crm.b.stream("/stream", &agent("ann")).await];
    crm.run(
        "insert into public.listings (id, team_id, agent_id, list_price, commission)
             values ('l-1', 'a', 'ann', 400000, 1);
         update public.listings set list_price = 395000, commission = 2",
    )
    .await;
    let [received] = &crm.received(&mut streams).await[..] else {
        panic!("one stream");
    };
    let listed = crm.listed().await;
    for event in [&received[1], &listed[1]] {
        assert_eq!(
            event["changes"],
            json!({"listPrice": 395_000, "commission": 2})
        );
        assert_eq!(event["previous"], Value::Null);
        assert!(!event.to_string().contains("400000"), "{event}");
    }
}

#[tokio::test]
async fn long_previous_values_are_not_kept_and_count_towards_no_limit() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "alter table public.listings add column remarks text;
         insert into public.listings (id, team_id, remarks) values ('l-1', 'a', repeat('x', 60000));
         update public.listings set remarks = repeat('y', 60000);
         update public.listings set remarks = repeat('z', 4050);
         update public.listings set remarks = null",
    )
    .await;
    let lengths: Vec<_> = kept(&mut crm)
        .await
        .into_iter()
        .map(|(_, _, previous)| previous.map(|text| text.len()))
        .collect();
    assert_eq!(lengths, [None, None, None, Some(4_064)]);
    let received = crm.listed().await;
    assert_eq!(received[1]["truncated"], Value::Null);
    assert_eq!(
        received[1]["changes"]["remarks"].as_str().map(str::len),
        Some(60_000)
    );
}

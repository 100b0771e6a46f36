//! A record gets another owner, who from then on sees its past by every path.

use std::sync::Arc;

use serde_json::Value;

use super::{Crm, MARKER, agent, until_marker};
use crate::support::requests::stream_at;
use crate::support::{Service, Stream};

/// What one sees of the commission in each event of a listing that has it.
fn commissions(events: &[Value]) -> Vec<String> {
    let received = |event: &Value| {
        let objects = [
            &event["data"]["commission"],
            &event["changes"]["commission"],
        ];
        objects
            .into_iter()
            .find(|value| !value.is_null())
            .map(ToString::to_string)
    };
    events.iter().filter_map(received).collect()
}

async fn open(service: &Service, user: &str, path: &str, gzip: bool) -> Stream {
    stream_at(&service.url(path), &agent(user), gzip).await
}

/// Everything up to the last marker, as this user sees it by replay.
async fn replayed(
    service: &Service,
    user: &str,
    path: &str,
    gzip: bool,
    markers: usize,
) -> Vec<String> {
    let mut stream = open(service, user, path, gzip).await;
    let (mut received, mut seen) = (Vec::new(), 0);
    while seen < markers {
        let message = stream.next_logged().await;
        if message.json()["type"] == "test:marker" {
            seen += 1;
        } else {
            received.push(message.json());
        }
    }
    commissions(&received)
}

/// Waits until both instances have published the last marker.
async fn settled(crm: &Crm, markers: usize) {
    for service in [&crm.a, &crm.b] {
        replayed(service, "zoe", "/stream?since=0", false, markers).await;
    }
}

const MASKED: &str = "\"[REDACTED]\"";

#[tokio::test]
async fn the_past_of_a_record_is_its_new_owners_and_no_longer_the_old_ones() {
    let mut crm = Crm::with_listings().await;
    // Readers, so that both instances have the log in memory from its beginning.
    let mut live = [
        open(&crm.a, "ann", "/stream", false).await,
        open(&crm.a, "cid", "/stream", true).await,
        open(&crm.b, "ann", "/stream", true).await,
        open(&crm.b, "cid", "/stream", false).await,
    ];
    crm.run(
        "insert into public.listings (id, team_id, agent_id, commission)
             values ('l-1', 'a', 'ann', 1), ('l-2', 'a', 'ann', 7);
         update public.listings set commission = 2 where id = 'l-1';
         delete from public.listings where id = 'l-2'",
    )
    .await;
    crm.run(MARKER).await;
    settled(&crm, 1).await;
    let (of_ann, of_others): (&[_], &[_]) = (&["1", "7", "2"], &[MASKED; 3]);
    for service in [&crm.a, &crm.b] {
        for user in ["ann", "cid"] {
            let expected = if user == "ann" { of_ann } else { of_others };
            let seen = replayed(service, user, "/stream?since=0", false, 1).await;
            assert_eq!(seen, expected, "{user}");
        }
    }
    // By itself, then in one statement with the private field.
    crm.run("update public.listings set agent_id = 'bob' where id = 'l-1'")
        .await;
    crm.run(MARKER).await;
    settled(&crm, 2).await;
    // A live event is filtered by the rights of that moment.
    let mut received = Vec::new();
    for stream in &mut live {
        let mut of_one = until_marker(stream).await;
        of_one.extend(until_marker(stream).await);
        received.push(of_one);
    }
    crm.run("update public.listings set agent_id = 'cid', commission = 3 where id = 'l-1'")
        .await;
    crm.run(MARKER).await;
    settled(&crm, 3).await;
    // What was deleted stays its last owner's.
    let of_ann: &[_] = &[MASKED, "7", MASKED, MASKED, MASKED];
    let of_bob: &[_] = &[MASKED; 5];
    let of_cid: &[_] = &["1", MASKED, "2", "2", "3"];
    for (i, (mut received, stream)) in received.into_iter().zip(&mut live).enumerate() {
        received.extend(until_marker(stream).await);
        let expected: &[_] = match i % 2 {
            0 => &["1", "7", "2", MASKED, MASKED],
            _ => &[MASKED, MASKED, MASKED, MASKED, "3"],
        };
        assert_eq!(commissions(&received), expected);
    }
    for service in [&crm.a, &crm.b] {
        for (user, expected) in [("ann", of_ann), ("bob", of_bob), ("cid", of_cid)] {
            for gzip in [false, true] {
                let seen = replayed(service, user, "/stream?since=0", gzip, 3).await;
                assert_eq!(seen, expected, "{user} {gzip}");
            }
            for path in ["/events?limit=1000", "/events?after=0&wait=1&limit=1000"] {
                let page = service.list(path, &agent(user)).await;
                let events = page["events"].as_array().expect("events");
                assert_eq!(commissions(events), expected, "{user} {path}");
            }
        }
    }
    // A new process has nothing in memory.
    let c = Service::on(Arc::clone(&crm.a.database), &[]).await;
    for (user, expected) in [("ann", of_ann), ("bob", of_bob), ("cid", of_cid)] {
        let seen = replayed(&c, user, "/stream?since=0", false, 3).await;
        assert_eq!(seen, expected, "{user}");
    }
}

/// A page that was read from the table before, and comes from the cache now.
#[tokio::test]
async fn pages_that_many_share_name_no_former_owner() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id, agent_id, commission) values ('l-1', 'a', 'ann', 1)",
    )
    .await;
    crm.run(MARKER).await;
    // The log comes into memory at its head, so that what was before is on pages alone.
    crm.listed().await;
    let mut reader = open(&crm.a, "zoe", "/stream", false).await;
    let all = "/stream?since=0";
    assert_eq!(replayed(&crm.a, "ann", all, false, 2).await, ["1"]);
    crm.run("update public.listings set agent_id = 'cid'").await;
    crm.run(MARKER).await;
    while reader.next_logged().await.name != "test:marker" {}
    assert_eq!(replayed(&crm.a, "cid", all, false, 3).await, ["1", "1"]);
    assert_eq!(replayed(&crm.a, "ann", all, false, 3).await, [MASKED; 2]);
}

/// More records get another owner than an instance remembers.
#[tokio::test]
async fn a_thousand_and_more_records_that_change_hands_at_once_are_all_judged_anew() {
    let mut crm = Crm::with_listings().await;
    let mut reader = open(&crm.a, "zoe", "/stream", false).await;
    crm.run(
        "insert into public.listings (id, team_id, agent_id, commission)
             select 'l-' || n, 'a', 'ann', n from generate_series(1, 1500) n;
         update public.listings set agent_id = 'cid'",
    )
    .await;
    crm.run(MARKER).await;
    while reader.next_logged().await.name != "test:marker" {}
    // The events of their creation, and of the new owner.
    let mut all: Vec<_> = (1..=1_500)
        .chain(1..=1_500)
        .map(|n| n.to_string())
        .collect();
    all.sort_unstable();
    let path = "/stream?since=0";
    let mut seen = replayed(&crm.a, "cid", path, false, 1).await;
    seen.sort_unstable();
    assert_eq!(seen, all);
    assert_eq!(
        replayed(&crm.a, "ann", path, false, 1).await,
        vec![MASKED; 3_000]
    );
}

#[tokio::test]
async fn after_several_changes_of_owner_in_one_transaction_the_last_owner_sees_the_past() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id, agent_id, commission)
             values ('l-1', 'a', 'ann', 1)",
    )
    .await;
    crm.listed().await;
    crm.run(
        "begin; update public.listings set agent_id = 'bob';
         update public.listings set agent_id = 'cid'; commit",
    )
    .await;
    assert_eq!(crm.listed().await.len(), 3);
    for (user, expected) in [("ann", MASKED), ("bob", MASKED), ("cid", "1")] {
        let page = crm.a.list("/events?limit=1000", &agent(user)).await;
        let events = page["events"].as_array().expect("events");
        assert_eq!(commissions(events), [expected; 3], "{user}");
    }
}

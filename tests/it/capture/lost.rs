//! Changes that could not be recorded.

use reqwest::Method;
use serde_json::json;

use super::{Crm, MARKER, run, until_marker};
use crate::support::Stream;
use crate::support::people::agent;
use crate::support::requests::{posted, send};

/// Nothing fits the outbox any more.
const FILL: &str = "create function public.refuse() returns trigger language plpgsql as $$
        begin raise 'could not extend file' using errcode = 'disk_full'; end $$;
    create trigger full_disk before insert on porchlight.outbox
        for each row execute function public.refuse()";
const FREE: &str = "drop trigger full_disk on porchlight.outbox";

#[tokio::test]
async fn a_write_over_http_fails_without_its_event_and_one_of_the_crm_leads_to_a_reset() {
    let mut crm = Crm::with_listings().await;
    let ann = agent("ann");
    let record = posted(
        &crm.a,
        &ann,
        "/records/escrows",
        &json!({"address": "1 Oak St"}),
    )
    .await;
    let path = format!("/records/escrows/{}", record["id"].as_str().expect("an id"));
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    let mut streams = [
        crm.a.stream("/stream", &ann).await,
        crm.b.stream("/stream", &ann).await,
    ];
    crm.received(&mut streams).await;

    crm.run_despite_deadlocks(FILL).await;
    let city = json!({"city": "Bend"});
    let refused = send(&crm.a, &ann, Method::PATCH, &path, &city).await;
    refused.refused(503, "database_unavailable", "a change that has no event");
    let mut long = crm.a.database.connect().await;
    let write = "begin; update public.listings set list_price = 7 where id = 'l-1'";
    run(&mut long, write).await;
    crm.run_despite_deadlocks(FREE).await;

    // While the change is not committed, a client would load the state before it.
    crm.run(MARKER).await;
    for stream in &mut streams {
        until_marker(stream).await;
    }
    run(&mut long, "commit").await;
    let patched = send(&crm.a, &ann, Method::PATCH, &path, &city).await;
    assert_eq!(
        (patched.status, &patched.json()["version"]),
        (200, &json!(2))
    );
    for stream in &mut streams {
        let reset = loop {
            let message = stream.next().await;
            if message.name == "stream:reset" {
                break message.json();
            }
        };
        assert_eq!(reset["reason"], "unknown");
    }
    let metric = "porchlight_lost_changes_total";
    assert_eq!(crm.a.metric(metric).await + crm.b.metric(metric).await, 1.0);
    crm.run("update public.listings set list_price = 8").await;
    for received in crm.received(&mut streams).await {
        let last = received.last().expect("an event");
        assert_eq!(last["changes"], json!({"listPrice": 8}));
    }
}

/// A change of a watched table that has no event, because its writer did not get the outbox in time.
async fn lose_a_change(crm: &mut Crm) {
    let mut other = crm.a.database.connect().await;
    // As a migration does.
    run(
        &mut other,
        "begin; lock table porchlight.outbox in access exclusive mode",
    )
    .await;
    crm.run(
        "set lock_timeout = '50ms'; update public.listings set list_price = 7; reset lock_timeout",
    )
    .await;
    run(&mut other, "commit").await;
}

async fn until_reset(stream: &mut Stream) {
    while stream.next().await.name != "stream:reset" {}
}

#[tokio::test]
async fn a_change_that_waited_too_long_for_the_outbox_leads_to_a_reset() {
    let mut crm = Crm::with_listings().await;
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    let mut streams = [crm.a.stream("/stream", &agent("ann")).await];
    crm.received(&mut streams).await;
    lose_a_change(&mut crm).await;
    until_reset(&mut streams[0]).await;
    assert_eq!(crm.reasons().await, [""; 0]);
}

#[tokio::test]
async fn a_held_log_delays_the_reset_and_no_changes_of_other_brokerages() {
    let mut crm = Crm::with_listings().await;
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    let mut elsewhere = crm.a.stream("/stream", &agent("cat").of("c")).await;
    let mut streams = [crm.a.stream("/stream", &agent("ann")).await];
    crm.received(&mut streams).await;
    let mut holder = crm.a.database.connect().await;
    run(
        &mut holder,
        "begin; select 1 from porchlight.brokers where broker_id = 'c' for update",
    )
    .await;
    lose_a_change(&mut crm).await;
    crm.run("update public.listings set list_price = 8").await;
    let received = crm.received(&mut streams).await;
    let last = received[0].last().expect("an event");
    assert_eq!(last["changes"], json!({"listPrice": 8}));
    run(&mut holder, "rollback").await;
    until_reset(&mut streams[0]).await;
    until_reset(&mut elsewhere).await;
}

#[tokio::test]
async fn a_bulk_change_for_which_there_was_no_space_later_leads_to_a_reset() {
    let mut crm = Crm::with_listings().await;
    let mut streams = [
        crm.a.stream("/stream", &agent("ann")).await,
        crm.b.stream("/stream", &agent("bob")).await,
    ];
    crm.run(
        "create function public.fill() returns boolean language plpgsql as $$
             begin raise 'could not extend file' using errcode = 'disk_full'; end $$;
         begin;
         update porchlight.bulk_staging set queries = jsonb_build_object('INSERT',
             'select d.* from (' || (queries ->> 'INSERT') || ') d where public.fill()');
         insert into public.listings (id, team_id) select n, 'a' from generate_series(1, 1500) n;
         commit",
    )
    .await;
    for stream in &mut streams {
        until_reset(stream).await;
    }
    let reasons = crm.reasons().await;
    assert_eq!(reasons.len(), 1);
    let reason = "INSERT of many rows could not be captured: could not extend file (53100)";
    assert!(reasons[0].contains(reason), "{reasons:?}");
}

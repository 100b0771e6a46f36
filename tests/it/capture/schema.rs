//! The schema of a watched table changes, and writes go on.

use serde_json::json;

use super::{Crm, WATCH, all_in_short};

#[tokio::test]
async fn a_table_whose_columns_come_and_go_is_written_to_and_told_of_as_before() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id) values ('l-1', 'a');
         alter table public.listings add column beds int;
         update public.listings set beds = 3;
         alter table public.listings drop column list_price;
         update public.listings set beds = 4;
         alter table public.listings alter column beds type text;
         update public.listings set beds = 'five';
         alter table public.listings rename column team_id to crew_id;
         update public.listings set beds = 'six';
         alter table public.listings rename to flats;
         update public.flats set beds = 'seven';
         alter table public.flats drop column version, drop column agent_id,
             drop column archived_at, drop column updated_by;
         update public.flats set beds = 'eight'",
    )
    .await;
    let told = all_in_short(&crm.listed().await);
    let expected = ["3", "4", "\"five\"", "\"six\"", "\"seven\"", "\"eight\""];
    let expected = expected.map(|beds| format!("listing:updated l-1 {{\"beds\":{beds}}}"));
    assert_eq!(told[1..], expected);
}

#[tokio::test]
async fn a_private_column_stays_private_when_it_is_renamed_or_made_anew() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id) values ('l-1', 'a');
         alter table public.listings rename column commission to fee;
         alter table public.listings rename column notes to remarks;
         update public.listings set fee = 5, remarks = 'x';
         alter table public.listings add column commission numeric, add column notes text;
         update public.listings set commission = 6, notes = 'y'",
    )
    .await;
    let told = crm.listed().await;
    assert_eq!(told[1]["changes"], json!({"fee": "[REDACTED]"}));
    assert_eq!(told[2]["changes"], json!({"commission": "[REDACTED]"}));
}

#[tokio::test]
async fn without_the_columns_that_say_who_may_know_nobody_is_told_and_writes_go_on() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id) values ('l-1', 'a');
         alter table public.listings drop column team_id;
         update public.listings set list_price = 1; delete from public.listings",
    )
    .await;
    let told = crm.listed().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let reasons = crm.reasons().await;
    assert_eq!(reasons.len(), 2);
    for (reason, operation) in reasons.iter().zip(["UPDATE", "DELETE"]) {
        for word in [operation, "listings", "its team column is gone"] {
            assert!(reason.contains(word), "{reason}");
        }
    }
    crm.run("alter table public.listings add column team_id text")
        .await;
    crm.run(WATCH).await;
    crm.run("insert into public.listings (id, team_id) values ('l-2', 'a')")
        .await;
    assert_eq!(crm.listed().await.len(), 2);
}

#[tokio::test]
async fn no_write_fails_because_of_porchlight() {
    let mut crm = Crm::with_listings().await;
    // Whatever is broken, down to the outbox itself.
    for broken in [
        "alter table porchlight.watched_columns rename to elsewhere",
        "alter table porchlight.watches rename to elsewhere_too",
        "alter table porchlight.outbox rename to nowhere",
        "drop schema porchlight cascade",
    ] {
        crm.run(broken).await;
        crm.run(
            "insert into public.listings (id, team_id) values ('l-1', 'a');
             update public.listings set list_price = 1; delete from public.listings",
        )
        .await;
    }
}

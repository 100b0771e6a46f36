//! The schema of a watched table changes, and writes go on.

use serde_json::json;

use super::{Crm, WATCH, all_in_short};

#[tokio::test]
async fn a_table_whose_columns_come_and_go_is_written_to_and_published_as_before() {
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
    let received = all_in_short(&crm.listed().await);
    let expected = ["3", "4", "\"five\"", "\"six\"", "\"seven\"", "\"eight\""];
    let expected = expected.map(|beds| format!("listing:updated l-1 {{\"beds\":{beds}}}"));
    assert_eq!(received[1..], expected);
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
    let received = crm.listed().await;
    assert_eq!(received[1]["changes"], json!({"fee": "[REDACTED]"}));
    assert_eq!(received[2]["changes"], json!({"commission": "[REDACTED]"}));
}

#[tokio::test]
async fn without_the_columns_that_say_who_may_know_nothing_is_published_and_writes_go_on() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id) values ('l-1', 'a');
         alter table public.listings drop column team_id;
         update public.listings set list_price = 1; delete from public.listings",
    )
    .await;
    let received = crm.listed().await;
    assert_eq!(received.len(), 1, "{received:?}");
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
async fn a_table_with_as_many_columns_as_postgres_allows_is_published_too() {
    for count in [99, 100, 1_590] {
        let mut crm = Crm::new().await;
        let columns: Vec<_> = (1..count).map(|n| format!("c_{n} int")).collect();
        crm.run(&format!(
            "create table public.wide (id int primary key, {});
             select porchlight.watch('public.wide', module => 'wides', broker => 'b');
             insert into public.wide (id, c_1) values (1, 1); update public.wide set c_2 = 2",
            columns.join(", ")
        ))
        .await;
        let received = crm.listed().await;
        let data = received[0]["data"].as_object().expect("data");
        assert_eq!((data.len(), &data["c1"]), (count, &json!(1)));
        assert_eq!(received[1]["changes"], json!({"c2": 2}));
    }
}

#[tokio::test]
async fn a_virtual_generated_column_keeps_nothing_from_being_published() {
    let mut crm = Crm::with_listings().await;
    let version = sqlx::query_scalar("select current_setting('server_version_num')::int");
    let version: i32 = version.fetch_one(&mut crm.sql).await.expect("a version");
    let kind = if version < 180_000 {
        "stored"
    } else {
        "virtual"
    };
    crm.run(&format!(
        "create table public.things (id int primary key, a int,
             b int generated always as (a * 2) {kind});
         select porchlight.watch('public.things', module => 'things', broker => 'b');
         insert into public.things (id, a) values (1, 1); update public.things set a = 2"
    ))
    .await;
    let received = crm.listed().await;
    assert_eq!(
        (&received[0]["data"]["a"], &received[1]["changes"]["a"]),
        (&json!(1), &json!(2))
    );
    let computed = if kind == "stored" {
        json!(4)
    } else {
        json!(null)
    };
    assert_eq!(received[1]["changes"]["b"], computed);
}

#[tokio::test]
async fn in_a_table_restored_from_a_dump_columns_are_known_by_their_names_alone() {
    let mut crm = Crm::with_listings().await;
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    // Of a table with another number, as one in a restored database is.
    let restored = "update porchlight.watches
        set made_of = '1:' || split_part(made_of, ':', 2) where watched = 'public.listings'::regclass;
        select porchlight.renew_watches()";
    crm.run(restored).await;
    crm.run("update public.listings set list_price = 1, notes = 'x', commission = 5")
        .await;
    crm.run("alter table public.listings rename column commission to fee")
        .await;
    crm.run(restored).await;
    crm.run("update public.listings set fee = 6").await;
    let received = all_in_short(&crm.listed().await);
    let expected = r#"listing:updated l-1 {"commission":"[REDACTED]","listPrice":1}"#;
    assert_eq!(received[1..], [expected]);
    let reasons = crm.reasons().await;
    assert_eq!(reasons.len(), 1);
    assert!(
        reasons[0].contains("its private column is gone"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn the_trigger_of_a_changed_table_is_renewed_once_and_not_by_every_writer() {
    let mut crm = Crm::with_listings().await;
    let is_ready = "select (made_of = porchlight.made_of(watched))::int::bigint
        from porchlight.watches where watched = 'public.listings'::regclass";
    crm.run("alter table public.listings add column beds int")
        .await;
    super::until_counted(&mut crm.sql, is_ready, 0).await;
    let _third = crate::support::Service::on(crm.a.database.clone(), &[]).await;
    super::until_counted(&mut crm.sql, is_ready, 1).await;
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
        crm.run_despite_deadlocks(broken).await;
        crm.run(
            "insert into public.listings (id, team_id) values ('l-1', 'a');
             update public.listings set list_price = 1; delete from public.listings",
        )
        .await;
    }
}

#[tokio::test]
async fn a_key_that_gets_or_loses_the_brokerage_is_noticed() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "alter table public.listings drop constraint listings_pkey, add primary key (broker_id, id);
         select porchlight.renew_watches();
         insert into public.listings (id, team_id, broker_id) values ('l-1', 'a', 'b'), ('l-1', 'a', 'c');
         update public.listings set list_price = 1",
    )
    .await;
    let received = all_in_short(&crm.listed().await);
    assert_eq!(received[1..], [r#"listing:updated l-1 {"listPrice":1}"#]);
    let problem = "select count(*) from porchlight.watched()
        where watched = 'public.listings'::regclass and problem like '%unique%'";
    super::until_counted(&mut crm.sql, problem, 0).await;
    crm.run("alter table public.listings drop constraint listings_pkey; select porchlight.renew_watches()")
        .await;
    super::until_counted(&mut crm.sql, problem, 1).await;
    crm.run(
        "delete from public.listings where broker_id = 'c'; alter table public.listings add primary key (id);
         select porchlight.renew_watches(); update public.listings set broker_id = 'c'",
    )
    .await;
    let received = crm.listed().await;
    let moved = received.last().expect("an event");
    assert_eq!(moved["data"]["reason"], "moved");
}

//! Configurations that cannot work are refused when they are made, with texts that help.

use serde_json::Value;

use super::{Crm, WATCH, all_in_short, run, until_counted};
use crate::support::cluster::TestDatabase;
use crate::support::command::porchlight;

/// A call, and parts of its refusal.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "watch('public.nowhere', module => 'x', broker => 'b')",
        &["public.nowhere", "does not exist"],
    ),
    (
        "watch('public.listings', module => 'x')",
        &["broker_column"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', broker_column => 'broker_id')",
        &["broker_column"],
    ),
    (
        "watch('public.listings', module => null, broker => 'b')",
        &["module must be"],
    ),
    (
        "watch('public.listings', module => 'a b', broker => 'b')",
        &["module must be"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b c')",
        &["broker must be"],
    ),
    (
        "watch('public.listings', module => 'x', singular => 'a:b', broker => 'b')",
        &["singular must be"],
    ),
    (
        "watch('public.listings', module => 'streams', broker => 'b')",
        &["stream:created", "singular"],
    ),
    (
        "watch('public.listings', module => 'presence', broker => 'b')",
        &["reserved"],
    ),
    (
        "watch('public.listings', module => 'notifications', broker => 'b')",
        &["notification:created", "reserved", "singular"],
    ),
    (
        "watch('public.listings', module => 'doors', singular => 'locks', broker => 'b')",
        &["reserved"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', team_column => 'team')",
        &["no column team", "team_id"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', id_column => 'nope')",
        &["no column nope"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', private_columns => '{fee}')",
        &["no column fee", "commission"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', hidden_columns => '{fee}')",
        &["no column fee"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', version_column => 'notes')",
        &["version_column => notes", "a whole number, not text"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', archived_column => 'notes')",
        &["archived_column => notes", "a time or a boolean"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', owner_column => 'archived_at')",
        &["owner_column => archived_at"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', private_columns => '{id}')",
        &["id cannot be private", "id_column"],
    ),
    (
        "watch('public.listings', module => 'x', broker => 'b', id_column => 'notes')",
        &["must be unique", "primary key"],
    ),
    (
        "watch('public.shown', module => 'x', broker => 'b')",
        &["shown is no table"],
    ),
    (
        "watch('pg_temp.fleeting', module => 'x', broker => 'b')",
        &["is temporary"],
    ),
    (
        "watch('porchlight.events', module => 'x', broker => 'b')",
        &["not a table of the CRM"],
    ),
    (
        "watch('public.partly', module => 'x', broker => 'b')",
        &["must be unique"],
    ),
];

#[tokio::test]
async fn what_cannot_work_is_refused_when_it_is_configured_and_changes_nothing() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "create view public.shown as select * from public.listings;
         create temp table fleeting (id int primary key);
         create table public.partly (id int); create unique index on public.partly (id) where id > 0",
    )
    .await;
    let before = watched(&mut crm).await;
    for (call, words) in REFUSED {
        let refusal = crm.refused(&format!("select porchlight.{call}")).await;
        for word in *words {
            assert!(refusal.contains(word), "{call}: {refusal}");
        }
    }
    assert_eq!(watched(&mut crm).await, before);
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    assert_eq!(crm.listed().await.len(), 1);
}

async fn watched(crm: &mut Crm) -> Value {
    let sql = "select json_agg(w) from porchlight.watched() w
        where w.watched not in (select records from porchlight.record_tables)";
    sqlx::query_scalar(sql)
        .fetch_one(&mut crm.sql)
        .await
        .expect("a list")
}

#[tokio::test]
async fn watched_lists_what_is_watched_and_what_keeps_it_from_being_published() {
    let mut crm = Crm::with_listings().await;
    let listed = watched(&mut crm).await;
    assert_eq!(listed[0]["watched"], "listings");
    assert_eq!(listed[0]["columns"]["private"][0], "commission");
    assert_eq!(listed[0]["problem"], Value::Null);
    crm.run("alter table public.listings disable trigger porchlight_update")
        .await;
    let problem = watched(&mut crm).await[0]["problem"].to_string();
    assert!(problem.contains("trigger"), "{problem}");
    crm.run(WATCH).await;
    crm.run("alter table public.listings enable trigger porchlight_update; alter table public.listings drop column team_id")
        .await;
    let problem = watched(&mut crm).await[0]["problem"].to_string();
    assert!(problem.contains("team"), "{problem}");
}

#[tokio::test]
async fn a_record_without_an_id_is_set_aside_and_one_with_only_hidden_columns_is_published() {
    let mut crm = Crm::new().await;
    crm.run(
        "create domain flag as boolean; create domain away as flag;
         create table public.things (id text unique, gone away);
         select porchlight.watch('public.things', module => 'things', broker => 'b',
             archived_column => 'gone');
         insert into public.things values (null), ('t-1'); update public.things set gone = true;
         select porchlight.watch('public.things', module => 'things', broker => 'b',
             archived_column => 'gone', hidden_columns => '{id,gone}');
         update public.things set gone = false; delete from public.things",
    )
    .await;
    let received = all_in_short(&crm.listed().await);
    let expected = [
        r#"thing:created t-1 {"gone":null,"id":"t-1"}"#,
        r#"thing:archived t-1 {"gone":true}"#,
        "thing:restored t-1",
        "thing:deleted t-1",
    ];
    assert_eq!(received, expected);
    let reasons = crm.reasons().await;
    // An update cannot say of which record it was: it is another one before and after.
    assert_eq!(reasons.len(), 6);
    assert!(
        reasons.iter().all(|reason| reason.contains("its record")),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn whoever_watches_the_same_table_at_the_same_time_takes_turns() {
    let mut crm = Crm::with_listings().await;
    let mut all = Vec::new();
    for _ in 0..8 {
        let mut sql = crm.a.database.connect().await;
        all.push(tokio::spawn(async move {
            for _ in 0..2 {
                run(&mut sql, WATCH).await;
            }
        }));
    }
    for one in all {
        one.await.expect("no refusal");
    }
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    assert_eq!(crm.listed().await.len(), 1);
}

#[tokio::test]
async fn a_table_that_is_gone_can_be_unwatched() {
    let mut crm = Crm::with_listings().await;
    crm.run("drop table public.listings").await;
    assert_eq!(watched(&mut crm).await[0]["problem"], "the table is gone");
    crm.run(
        "select porchlight.unwatch(watched) from porchlight.watched() where problem is not null",
    )
    .await;
    let left = "select count(*) from porchlight.watched() where problem is not null";
    until_counted(&mut crm.sql, left, 0).await;
}

#[tokio::test]
async fn who_may_watch_a_table_of_others_may_unwatch_it() {
    let mut crm = Crm::with_listings().await;
    crm.run(&format!(
        "create role \"{0}\"; grant trigger on public.listings to \"{0}\";
         grant usage on schema porchlight to \"{0}\";
         grant all on all tables in schema porchlight to \"{0}\";
         grant execute on function porchlight.capture to \"{0}\"; set role \"{0}\"; {WATCH};
         do $$ begin assert porchlight.unwatch('public.listings'); end $$; reset role;
         insert into public.listings (id, team_id) values ('l-1', 'a');
         drop owned by \"{0}\"; drop role \"{0}\"",
        crm.a.database.name()
    ))
    .await;
    assert!(crm.listed().await.is_empty());
    assert_eq!(crm.reasons().await, [""; 0]);
}

#[tokio::test]
async fn a_second_table_of_a_module_is_accepted_with_a_warning_that_names_both() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let mut sql = database.connect().await;
    run(&mut sql, "create table public.homes (id text primary key); create table public.flats (like public.homes including all);
        create table public.rooms (id text primary key) partition by list (id);
        create table public.one_room partition of public.rooms default").await;
    let watch = async |table: &str, module: &str| {
        let call = format!(
            "select porchlight.watch('public.{table}', module => '{module}', broker => 'b')"
        );
        let ended = porchlight(&["psql", "-X", "-c", &call], &[("DATABASE_URL", &url)]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stderr
    };
    let builtin = watch("homes", "listings").await;
    for part in [
        "WARNING",
        "homes",
        "porchlight.listings",
        "/records/listings",
    ] {
        assert!(builtin.contains(part), "{builtin}");
    }
    for (table, module) in [
        ("homes", "houses"),
        ("rooms", "rooms"),
        ("one_room", "rooms"),
        ("homes", "houses"),
    ] {
        assert_eq!(watch(table, module).await, "", "{table}");
    }
    let second = watch("flats", "houses").await;
    for part in ["WARNING", "flats", "homes", "porchlight.unwatch"] {
        assert!(second.contains(part), "{second}");
    }
}

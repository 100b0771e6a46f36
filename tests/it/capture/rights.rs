//! Types of the CRM's own have casts, and these run with nobody else's rights.

use serde_json::{Value, json};

use super::{Crm, until_counted};

/// Casts that say who calls them.
const CASTS: &str = "create function crm.as_json(crm.mood) returns json language sql
        as $$ select to_json('cast by ' || current_user) $$;
    create function crm.as_text(crm.mood) returns text language sql
        as $$ select 'cast by ' || current_user $$;
    create cast (crm.mood as json) with function crm.as_json(crm.mood);
    create cast (crm.mood as text) with function crm.as_text(crm.mood) as assignment";

/// A role that may use the schema, with types of its own.
fn role_with_types(name: &str) -> String {
    format!(
        r#"create role "{name}"; grant usage on schema porchlight to "{name}";
        create schema crm authorization "{name}"; set role "{name}";
        create type crm.mood as enum ('ok', 'bad'); create type crm.felt as (mood crm.mood, n int)"#
    )
}

/// The same with casts.
fn role(name: &str) -> String {
    format!("{}; {CASTS}", role_with_types(name))
}

#[tokio::test]
async fn a_value_that_a_role_emits_is_converted_with_its_own_rights() {
    let mut crm = Crm::new().await;
    let name = format!("{}_crm", crm.a.database.name());
    crm.run(&role(&name)).await;
    crm.run(
        r#"select porchlight.emit('x', '{"broker": "b"}', 'ok'::crm.mood);
        select porchlight.emit('x', '{"broker": "b"}', null::crm.mood, changes => 'bad'::crm.mood);
        select porchlight.emit('x', '{"broker": "b"}', '{"n": 1}', broker => null, version => 2);
        reset role"#,
    )
    .await;
    let received = crm.listed().await;
    let own = json!(format!("cast by {name}"));
    assert_eq!(
        (&received[0]["data"], &received[1]["changes"]),
        (&own, &own)
    );
    assert_eq!(
        (&received[2]["data"], &received[2]["version"]),
        (&json!({"n": 1}), &json!(2))
    );
}

#[tokio::test]
async fn values_of_a_watched_table_are_written_without_the_casts_of_its_owner() {
    let mut crm = Crm::new().await;
    crm.run(&role(&format!("{}_crm", crm.a.database.name())))
        .await;
    crm.run(
        "create table crm.days (id int primary key, mood crm.mood, moods crm.mood[], felt crm.felt);
        reset role; select porchlight.watch('crm.days', module => 'days', broker => 'b');
        insert into crm.days values (1, 'ok', '{ok}', row('ok', 1)), (2, null, null, null);
        update crm.days set mood = 'bad', moods = '{ok,bad}', felt = row('ok', 2) where id = 1",
    )
    .await;
    let received = crm.listed().await;
    let data = [0, 1].map(|at: usize| received[at]["data"].clone());
    assert_eq!(
        data,
        [
            json!({"id": 1, "mood": "ok", "moods": ["ok"], "felt": "(ok,1)"}),
            json!({"id": 2, "mood": null, "moods": null, "felt": null})
        ]
    );
    assert_eq!(
        received[2]["changes"],
        json!({"mood": "bad", "moods": ["ok", "bad"], "felt": "(ok,2)"})
    );
    // A version whose type changes later is read as a text, too.
    crm.run(
        "alter table crm.days add version int;
        select porchlight.watch('crm.days', module => 'days', broker => 'b', version_column => 'version');
        alter table crm.days alter version type crm.mood using 'ok'; update crm.days set mood = 'ok'",
    )
    .await;
    assert_eq!(crm.listed().await.len(), 3);
    let reasons = crm.reasons().await;
    assert!(reasons[0].contains("bigint"), "{reasons:?}");
}

#[tokio::test]
async fn values_are_written_alike_before_and_after_their_type_has_casts() {
    let mut crm = Crm::new().await;
    crm.run(&role_with_types(&format!("{}_crm", crm.a.database.name())))
        .await;
    crm.run(
        "create type crm.place as (street text, ns int[]); create type crm.span as range (subtype = int4);
        create table crm.days (id int primary key, moods crm.mood[], felt crm.felt, place crm.place, places crm.place[],
            span crm.span);
        reset role; select porchlight.watch('crm.days', module => 'days', broker => 'b')",
    )
    .await;
    let insert =
        "insert into crm.days values (1, '{{ok,NULL},{bad,ok}}', row('ok', 1), row('A 1', '{1}'),
        array[row('B', null)::crm.place], '[1,5)')";
    crm.run(insert).await;
    crm.run(&format!("delete from crm.days; {CASTS}; {insert}"))
        .await;
    let received = crm.listed().await;
    // Nobody makes casts for a row of types that are Postgres' own.
    let written = json!({"id": 1, "moods": [["ok", null], ["bad", "ok"]], "felt": "(ok,1)",
        "place": {"street": "A 1", "ns": [1]}, "places": [{"street": "B", "ns": null}], "span": "[1,5)"});
    assert_eq!(
        (&received[0]["data"], &received[2]["data"]),
        (&written, &written)
    );
}

#[tokio::test]
async fn a_bulk_change_is_kept_without_the_casts_of_the_owner() {
    let mut crm = Crm::new().await;
    crm.run(&role(&format!("{}_crm", crm.a.database.name())))
        .await;
    crm.run(
        "create table crm.days (id int primary key, mood crm.mood); reset role;
        select porchlight.watch('crm.days', module => 'days', broker => 'b');
        insert into crm.days select n, case when n <> 7 then 'ok'::crm.mood end from generate_series(1, 1500) n;
        update crm.days set mood = 'bad'",
    )
    .await;
    until_counted(&mut crm.sql, "select count(*) from porchlight.outbox", 0).await;
    let sql = "select json_object_agg(said, n) from (
        select coalesce(data ->> 'mood', changes::text, '-') as said, count(*) as n
        from porchlight.events group by said) counted";
    let counted: Value = sqlx::query_scalar(sql)
        .fetch_one(&mut crm.sql)
        .await
        .expect("counts");
    assert_eq!(
        counted,
        json!({"ok": 1_499, "-": 1, "{\"mood\":\"bad\"}": 1_500})
    );
}

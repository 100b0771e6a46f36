//! What one statement does to many rows is published as if it had been done to few at a time.

use super::{Crm, LISTINGS, MARKER, WATCH, agent, run, until_counted, until_marker};

/// Rows that the relay has not moved to the log yet.
const WAITING: &str = "select count(*) from porchlight.outbox";

/// As many as make a bulk change, half of them of each broker.
const ROWS: &str =
    "insert into public.listings (id, broker_id, team_id, agent_id, list_price, commission)
    select 'l-' || n, case when n % 2 = 0 then 'b' else 'c' end, 'a', 'ann', n / 2, n / 2
    from generate_series(2, 3001) n where true";

/// All kinds of changes, by the number in the id; one in twelve changes nothing that is published.
const UPDATE: &str = "update public.listings set
    list_price = case when n % 12 in (0, 8) then list_price + 1 else list_price end,
    commission = case when n % 12 in (1, 8) then commission + 1 else commission end,
    agent_id = case when n % 12 = 2 then 'bob' else agent_id end,
    archived_at = case when n % 12 in (3, 8) then timestamptz '2026-01-02 03:04:05Z' end,
    team_id = case n % 12 when 4 then 'z' when 5 then null else team_id end,
    id = case when n % 12 = 6 then 'new-' || substr(id, 3) else id end,
    notes = case when n % 12 = 7 then 'unseen' else notes end,
    updated_by = case when n % 12 = 9 then 'eve' else updated_by end,
    version = case when n % 12 = 10 then version + 1 else version end
    from (select id as was, substr(id, 3)::int / 2 as n from public.listings) l where id = was";

/// All that the log has of a broker, without what differs anyway: where, when, and whose log.
async fn log_of(crm: &mut Crm, broker: &str) -> Vec<String> {
    let sql = r#"select replace(regexp_replace(row(audience, type, module, n, user_id, version, data,
            changes, private, owner_id, previous, new_owner, truncated)::text, 'l-\d+|new-\d+', '', 'g'),
            '""' || broker_id || '""', '-')
        from porchlight.events, lateral (select regexp_replace(record_id, '\D', '', 'g')::int / 2 as n) l
        where broker_id = $1 and record_id is not null order by n, position"#;
    let rows = sqlx::query_scalar(sql).bind(broker).fetch_all(&mut crm.sql);
    rows.await.expect("a log")
}

#[tokio::test]
async fn many_rows_of_one_statement_are_published_as_few_at_a_time_are() {
    let mut crm = Crm::with_listings().await;
    for statement in [ROWS, UPDATE, "delete from public.listings where true"] {
        let many = format!("{statement} and {} % 2 = 0", number(statement));
        crm.run(&format!(
            "begin; set local porchlight.user_id = 'sue'; {many}; commit"
        ))
        .await;
        for part in 0..5 {
            let few = format!(
                "{statement} and {0} % 2 = 1 and {0} % 5 = {part}",
                number(statement)
            );
            crm.run(&format!(
                "begin; set local porchlight.user_id = 'sue'; {few}; commit"
            ))
            .await;
        }
    }
    until_counted(&mut crm.sql, WAITING, 0).await;
    let (many, few) = (log_of(&mut crm, "b").await, log_of(&mut crm, "c").await);
    // Of a twelfth each nothing is published, nor of the next; two move, and one becomes another.
    assert_eq!(many.len(), 1_500 + (1_500 - 2 * 125 + 3 * 125) + 1_500);
    for (many, few) in many.iter().zip(&few) {
        assert_eq!(many, few);
    }
    assert_eq!(many.len(), few.len());
}

/// The number in the id, as SQL.
fn number(statement: &str) -> &'static str {
    if statement == ROWS {
        "n"
    } else {
        "regexp_replace(id, '\\D', '', 'g')::int"
    }
}

#[tokio::test]
async fn a_bundle_keeps_its_place_among_other_changes() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id, list_price)
            select 'l-' || n, 'a', 0 from generate_series(1, 2000) n",
    )
    .await;
    for price in [1, 4] {
        crm.run(&format!(
            "begin; update public.listings set list_price = {price} where id = 'l-7';
             update public.listings set list_price = {price} + 1;
             update public.listings set list_price = {price} + 2 where id = 'l-7'; commit"
        ))
        .await;
    }
    until_counted(&mut crm.sql, WAITING, 0).await;
    let sql = "select (changes ->> 'listPrice')::bigint from porchlight.events
         where record_id = 'l-7' and changes is not null order by position";
    let prices: Vec<i64> = sqlx::query_scalar(sql)
        .fetch_all(&mut crm.sql)
        .await
        .unwrap();
    assert_eq!(prices, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn waiting_changes_are_published_as_the_table_was_watched_when_they_were_written() {
    let mut crm = Crm::new().await;
    crm.run(LISTINGS).await;
    crm.run(WATCH).await;
    // Nobody can look before all of it is there.
    crm.run(&format!(
        "begin;
         insert into public.listings (id, team_id, commission)
             select 'l-' || n, 'a', n from generate_series(1, 1500) n;
         select porchlight.watch('public.listings', module => 'flats', broker_column => 'broker_id',
             team_column => 'team_id');
         update public.listings set commission = 1;
         select porchlight.unwatch('public.listings'); drop table public.listings; {LISTINGS}; {WATCH};
         commit"
    ))
    .await;
    until_counted(&mut crm.sql, WAITING, 0).await;
    let sql = "select string_agg(distinct type || ' ' || coalesce(data ->> 'commission', '-') || ' '
            || coalesce(changes ->> 'commission', '-'), ', ') from porchlight.events where type ~ 'ed$'";
    let received: String = sqlx::query_scalar(sql)
        .fetch_one(&mut crm.sql)
        .await
        .unwrap();
    assert_eq!(received, "flat:updated - 1, listing:created [REDACTED] -");
    // Staging tables that were left over are dropped when the next is made.
    crm.run(WATCH).await;
    let sql = "select count(*) from porchlight.bulk_staging where watched is null";
    until_counted(&mut crm.sql, sql, 0).await;
}

#[tokio::test]
async fn rows_that_wait_keep_nobody_from_dropping_a_type() {
    let mut crm = Crm::new().await;
    crm.run(
        "create type public.state as enum ('active', 'sold'); create domain public.price as numeric;
         create type public.size as (beds int, baths int);
         create table public.flats (id char(8) primary key, state public.state, price public.price);
         create table public.houses (id int primary key, size public.size);
         select porchlight.watch('public.flats', module => 'flats', broker => 'b');
         select porchlight.watch('public.houses', module => 'houses', broker => 'b');
         insert into public.flats select 'f-' || n, 'active', n * 0.25 from generate_series(1, 1500) n;
         update public.flats set state = 'sold';
         insert into public.houses select n, row(n, 2)::public.size from generate_series(1, 1500) n;
         alter table public.flats drop column state, drop column price;
         alter table public.houses drop column size;
         drop type public.state; drop domain public.price; drop type public.size",
    )
    .await;
    until_counted(&mut crm.sql, WAITING, 0).await;
    let sql = "select string_agg(coalesce(data, changes)::text, ' ' order by position)
         from porchlight.events where trim(record_id) in ('f-3', '3')";
    let received: String = sqlx::query_scalar(sql)
        .fetch_one(&mut crm.sql)
        .await
        .unwrap();
    assert_eq!(
        received,
        "{\"id\":\"f-3     \",\"state\":\"active\",\"price\":0.75} {\"state\":\"sold\"} \
         {\"id\":3,\"size\":{\"beds\":3,\"baths\":2}}"
    );
}

#[tokio::test]
async fn a_bundle_that_cannot_be_unpacked_is_set_aside_and_the_line_goes_on() {
    let mut crm = Crm::with_listings().await;
    let mut other = crm.a.database.connect().await;
    run(
        &mut other,
        "begin; update porchlight.bulk_staging set queries = '{\"INSERT\": \"select 1 / 0\"}'",
    )
    .await;
    run(
        &mut other,
        "insert into public.listings (id, team_id) select n, 'a' from generate_series(1, 1500) n;
         insert into public.listings (id, team_id) values ('l-1', 'a'); commit",
    )
    .await;
    let received = crm.listed().await;
    assert_eq!(
        (received.len(), &received[0]["recordId"]),
        (1, &"l-1".into())
    );
    let reasons = crm.reasons().await;
    assert_eq!(reasons.len(), 1);
    assert!(
        reasons[0].contains("INSERT of many rows could not be captured: "),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_staging_table_that_is_gone_and_a_table_that_has_changed_lose_no_event() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id) select n, 'a' from generate_series(1, 1500) n",
    )
    .await;
    // A staging table that is in use is not dropped.
    until_counted(&mut crm.sql, WAITING, 0).await;
    let mut old = crm.a.database.connect().await;
    run(
        &mut old,
        "begin isolation level repeatable read; select 1 from public.listings",
    )
    .await;
    // The staging table that the transaction sees is dropped.
    crm.run(WATCH).await;
    crm.run(WATCH).await;
    run(
        &mut old,
        "update public.listings set list_price = 1; commit",
    )
    .await;
    crm.run(
        "alter table public.listings drop column list_price, add column rent int;
         update public.listings set rent = 2;
         select porchlight.renew_watches();
         update public.listings set rent = 3",
    )
    .await;
    until_counted(&mut crm.sql, WAITING, 0).await;
    let sql = "select string_agg(said, ', ') from (
         select changes || ' ' || count(*) as said from (
             select changes::text, position from porchlight.events where changes is not null) c
         group by changes order by min(position)) told";
    let received: String = sqlx::query_scalar(sql)
        .fetch_one(&mut crm.sql)
        .await
        .unwrap();
    assert_eq!(
        received,
        "{\"listPrice\":1} 1500, {\"rent\":2} 1500, {\"rent\":3} 1500"
    );
    assert_eq!(crm.reasons().await, [""; 0]);
}

#[tokio::test]
async fn a_column_whose_type_has_changed_loses_no_bulk_change() {
    let mut crm = Crm::new().await;
    crm.run(
        "create table public.visits (id int primary key, day date not null, n int not null);
         select porchlight.watch('public.visits', module => 'visits', broker => 'b');
         insert into public.visits select n, '2026-01-02', n from generate_series(1, 1500) n;
         alter table public.visits alter day type timestamp, alter n type bigint;
         select porchlight.renew_watches();
         update public.visits set day = day + interval '5 hours';
         update public.visits set n = n + 5000000000",
    )
    .await;
    until_counted(&mut crm.sql, WAITING, 0).await;
    assert_eq!(
        changes_of(&mut crm, "7").await,
        "{\"day\":\"2026-01-02T05:00:00\"}, {\"n\":5000000007}"
    );
    assert_eq!(crm.reasons().await, [""; 0]);
}

#[tokio::test]
async fn rows_that_do_not_fit_the_staging_table_are_described_at_once() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id, list_price) select n, 'a', 1 from generate_series(1, 1500) n",
    )
    .await;
    until_counted(&mut crm.sql, WAITING, 0).await;
    crm.run(
        "do $$ declare staging regclass; begin
             select s.staging_table into staging from porchlight.bulk_staging s
             where s.watched = 'public.listings'::regclass;
             execute format('alter table %s alter list_price type smallint', staging);
         end $$;
         update public.listings set list_price = 70000",
    )
    .await;
    until_counted(&mut crm.sql, WAITING, 0).await;
    assert_eq!(changes_of(&mut crm, "7").await, "{\"listPrice\":70000}");
    assert_eq!(crm.reasons().await, [""; 0]);
}

/// The changes of a record, in order.
async fn changes_of(crm: &mut Crm, record: &str) -> String {
    let sql = "select string_agg(changes::text, ', ' order by position) from porchlight.events
        where record_id = $1 and changes is not null";
    let changes = sqlx::query_scalar(sql).bind(record);
    let changes: Option<String> = changes.fetch_one(&mut crm.sql).await.expect("a log");
    changes.unwrap_or_default()
}

#[tokio::test]
async fn a_bulk_change_that_takes_too_long_delays_nothing_before_it_and_is_given_up_with_a_reset() {
    let mut crm = Crm::with_listings().await;
    let mut stream = crm.b.stream("/stream", &agent("ann")).await;
    crm.run(MARKER).await;
    until_marker(&mut stream).await;
    crm.run(
        "begin; update porchlight.bulk_staging set queries = jsonb_build_object('INSERT', format(
             'select q.* from (%s) q, (select pg_sleep(3600) offset 0) s', queries ->> 'INSERT'));
         select porchlight.emit('before', '{\"broker\": \"b\"}');
         insert into public.listings (id, team_id) select n, 'a' from generate_series(1, 1500) n; commit",
    )
    .await;
    assert_eq!(stream.next_logged().await.name, "before");
    // As the server does when the time of the statement is over.
    let cancelled = "select count(pg_cancel_backend(pid)) from pg_stat_activity
        where datname = current_database() and state = 'active' and query like '%unpack_bulk_change%'
            and pid <> pg_backend_pid()";
    until_counted(&mut crm.sql, cancelled, 1).await;
    while stream.next().await.name != "stream:reset" {}
    let reasons = crm.reasons().await;
    assert!(reasons[0].contains("INSERT of many rows"), "{reasons:?}");
    let waiting = "select count(*) from porchlight.bulk_staging s, lateral (
        select from porchlight.outbox o where o.staging_table = s.staging_table) o";
    until_counted(&mut crm.sql, waiting, 0).await;
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    assert_eq!(stream.next_logged().await.json()["recordId"], "l-1");
}

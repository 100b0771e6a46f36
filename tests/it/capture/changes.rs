//! Every kind of change of every module, however it is made: one event, the right one, to the
//! right people, after the commit and never after a rollback.

use serde_json::Value;
use sqlx::AssertSqlSafe;

use super::{Crm, WATCH, agent, all_in_short, in_short};
use crate::support::psql::psql;
use crate::support::{Stream, Token};

const MODULES: [(&str, &str, &str); 5] = [
    ("escrows", "escrow", "purchase_price numeric"),
    ("listings", "listing", "list_price bigint"),
    ("clients", "client", "phone_number text"),
    ("appointments", "appointment", "room_number int"),
    ("leads", "lead", "score double precision"),
];

/// How a change is made.
#[derive(Clone, Copy, Debug)]
enum By {
    /// A statement of its own.
    Statement,
    /// The program of this name, which reads it.
    Psql,
    Script,
    /// A transaction that writes elsewhere too.
    Transaction,
    /// The extended protocol, prepared, as drivers do it.
    Driver,
}

const WAYS: [By; 5] = [
    By::Statement,
    By::Psql,
    By::Script,
    By::Transaction,
    By::Driver,
];

async fn make(crm: &mut Crm, by: By, change: &str) {
    match by {
        By::Statement => crm.run(change).await,
        By::Psql => psql(&crm.a.database.url(), change),
        By::Script => crm.run(&format!("do $$ begin {change}; end $$")).await,
        By::Transaction => {
            let sql = format!(
                "begin; insert into public.audit default values; {change};
                 update public.audit set n = n + 1; commit"
            );
            crm.run(&sql).await;
        }
        By::Driver => {
            let query = sqlx::query(AssertSqlSafe(change.to_owned()));
            query.execute(&mut crm.sql).await.expect("a change");
        }
    }
}

async fn table(crm: &mut Crm, module: &str, column: &str) {
    let sql = format!(
        "create table public.{module} (id text primary key, broker_id text not null,
             team_id text, version int not null default 1, archived_at timestamptz, {column},
             private_note text);
         select porchlight.watch('public.{module}', module => '{module}',
             broker_column => 'broker_id', team_column => 'team_id', version_column => 'version',
             archived_column => 'archived_at', private_columns => '{{private_note}}')"
    );
    crm.run(&sql).await;
}

/// A change, and what teams `a` and `z` receive of it.
fn changes(module: &str, singular: &str, column: &str, id: &str) -> Vec<(String, [String; 2])> {
    let name = column.split(' ').next().expect("a name");
    let mut camel = name.split('_').map(ToOwned::to_owned).collect::<Vec<_>>();
    for part in camel.iter_mut().skip(1) {
        part[..1].make_ascii_uppercase();
    }
    let field = camel.concat();
    let is_text = column.ends_with("text");
    let json = |n: &str| {
        if is_text {
            format!("\"{n}\"")
        } else {
            n.to_owned()
        }
    };
    let record = |team: &str, n: &str| {
        format!(
            "{singular}:created {id} {{\"id\":\"{id}\",\"brokerId\":\"b\",\"teamId\":\"{team}\",\
             \"version\":2,\"archivedAt\":null,\"{field}\":{},\"privateNote\":\"[REDACTED]\"}}",
            json(n)
        )
    };
    let none = String::new;
    let received = |verb: &str, changes: String| format!("{singular}:{verb} {id} {changes}");
    vec![
        (
            format!("insert into public.{module} values ('{id}', 'b', 'a', 2, null, 1, 'x')"),
            [record("a", "1"), none()],
        ),
        (
            format!("update public.{module} set {name} = 2, version = 3 where id = '{id}'"),
            [
                received(
                    "updated",
                    format!("{{\"version\":3,\"{field}\":{}}}", json("2")),
                ),
                none(),
            ],
        ),
        (
            format!(
                "update public.{module} set archived_at = '2025-11-02T13:00:00+01' where id = '{id}'"
            ),
            [
                received(
                    "archived",
                    "{\"archivedAt\":\"2025-11-02T12:00:00Z\"}".to_owned(),
                ),
                none(),
            ],
        ),
        (
            format!("update public.{module} set archived_at = null where id = '{id}'"),
            [
                received("restored", "{\"archivedAt\":null}".to_owned()),
                none(),
            ],
        ),
        (
            format!("update public.{module} set team_id = 'z', version = 2 where id = '{id}'"),
            [
                received("deleted", "{\"reason\":\"moved\"}".to_owned()),
                record("z", "2"),
            ],
        ),
        (
            format!("delete from public.{module} where id = '{id}'"),
            [none(), format!("{singular}:deleted {id}")],
        ),
    ]
}

/// As fields are listed in order.
fn sorted(text: &str) -> String {
    let (what, json) = text.split_once(" {").unwrap_or((text, ""));
    match serde_json::from_str::<Value>(&format!("{{{json}")) {
        Ok(json) => format!("{what} {json}"),
        Err(_) => text.to_owned(),
    }
}

async fn streams(crm: &Crm) -> [Stream; 3] {
    [
        crm.a.stream("/stream", &Token::user("ann", &["a"])).await,
        crm.b.stream("/stream", &Token::user("zoe", &["z"])).await,
        crm.b
            .stream("/stream", &Token::user("eve", &["a", "z"]).of("c"))
            .await,
    ]
}

#[tokio::test]
async fn every_change_of_every_module_by_every_way_is_published_once_to_its_audience() {
    let mut crm = Crm::new().await;
    crm.run("create table public.audit (n int not null default 0)")
        .await;
    let mut streams = streams(&crm).await;
    for (module, singular, column) in MODULES {
        table(&mut crm, module, column).await;
        for by in WAYS {
            for (change, expected) in changes(module, singular, column, &format!("{by:?}")) {
                make(&mut crm, by, &change).await;
                let received = crm.received(&mut streams[..2]).await;
                for (received, expected) in received.iter().zip(expected) {
                    let received = all_in_short(received);
                    let expected: Vec<_> = Some(sorted(&expected)).into_iter().collect();
                    let expected: Vec<_> = expected.into_iter().filter(|e| !e.is_empty()).collect();
                    assert_eq!(received, expected, "{by:?}: {change}");
                }
            }
        }
    }
    // Another broker received nothing.
    let sql = "select porchlight.emit('test:marker', '{\"broker\": \"c\"}')";
    crm.run(sql).await;
    assert_eq!(super::until_marker(&mut streams[2]).await, [Value::Null; 0]);
    assert_eq!(crm.reasons().await, [""; 0]);
}

#[tokio::test]
async fn what_is_rolled_back_is_never_published_and_what_is_committed_comes_in_order() {
    let mut crm = Crm::with_listings().await;
    let mut streams = [crm.b.stream("/stream", &agent("ann")).await];
    crm.run("begin; insert into public.listings (id, team_id) values ('l-1', 'a'); rollback")
        .await;
    crm.run(
        "begin; insert into public.listings (id, team_id) values ('l-2', 'a');
         savepoint s; update public.listings set list_price = 1; rollback to s;
         update public.listings set list_price = 2; update public.listings set list_price = 3;
         delete from public.listings; commit",
    )
    .await;
    let failing = "begin; insert into public.listings (id, team_id) values ('l-3', 'a');
         select 1 / 0; commit";
    crm.refused(failing).await;
    crm.run("rollback").await;
    let received = crm.received(&mut streams).await.remove(0);
    let received: Vec<_> = received.iter().map(in_short).collect();
    assert_eq!(received.len(), 4, "{received:?}");
    assert!(received[0].starts_with("listing:created l-2"));
    assert_eq!(received[1], "listing:updated l-2 {\"listPrice\":2}");
    assert_eq!(received[2], "listing:updated l-2 {\"listPrice\":3}");
    assert_eq!(received[3], "listing:deleted l-2");
}

#[tokio::test]
async fn an_update_that_changes_no_published_column_is_not_published() {
    let mut crm = Crm::with_listings().await;
    crm.run("insert into public.listings (id, team_id, list_price) values ('l-1', 'a', 1)")
        .await;
    crm.run(
        "update public.listings set list_price = 1.00, team_id = team_id;
         update public.listings set notes = 'hidden';
         update public.listings set list_price = 5 where id = 'nobody';
         insert into public.listings (id) values ('l-1') on conflict do nothing;
         delete from public.listings where false;
         update public.listings set list_price = null",
    )
    .await;
    let received = crm.listed().await;
    assert_eq!(received.len(), 2, "{received:?}");
    assert_eq!(
        in_short(&received[1]),
        "listing:updated l-1 {\"listPrice\":null}"
    );
}

#[tokio::test]
async fn an_event_says_who_made_the_change_and_which_version_it_is() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "insert into public.listings (id, team_id, updated_by) values ('l-1', 'a', 'ann');
         update public.listings set version = 2, updated_by = null;
         begin; set local porchlight.user_id = 'bob';
         update public.listings set version = 3, updated_by = 'ann'; commit;
         update public.listings set version = 4, updated_by = ' no id';
         update public.listings set version = 5, updated_by = 'ann';
         delete from public.listings",
    )
    .await;
    let received = crm.listed().await;
    let who = |event: &Value| {
        (
            event["version"].as_i64(),
            event["userId"].as_str().map(str::to_owned),
        )
    };
    let who: Vec<_> = received.iter().map(who).collect();
    let named = |name: &str| Some(name.to_owned());
    let expected = [
        (Some(1), named("ann")),
        (Some(2), None),
        (Some(3), named("bob")),
        (Some(4), None),
        (Some(5), named("ann")),
        // The user that wrote the row last need not be the one that deletes it.
        (Some(5), None),
    ];
    assert_eq!(who, expected);
}

#[tokio::test]
async fn all_kinds_of_statements_are_published() {
    let mut crm = Crm::with_listings().await;
    crm.run(
        "create table public.photos (id text primary key, team_id text,
             listing_id text references public.listings on delete cascade on update cascade);
         select porchlight.watch('public.photos', module => 'photos', broker => 'b',
             team_column => 'team_id');
         insert into public.listings (id, team_id) values ('l-1', 'a');
         insert into public.photos values ('p-1', 'a', 'l-1');
         insert into public.listings (id, team_id) values ('l-1', 'a'), ('l-2', 'a')
             on conflict (id) do update set list_price = 7;
         with moved as (delete from public.listings where id = 'l-2' returning *)
             insert into public.listings select 'l-3', broker_id, team_id from moved;
         merge into public.listings l using (values ('l-1', 8), ('l-4', 9)) as n (id, price)
             on l.id = n.id when matched then update set list_price = price
             when not matched then insert (id, team_id) values (n.id, 'a');
         update public.listings set id = 'l-9' where id = 'l-1';
         delete from public.listings where id = 'l-9'",
    )
    .await;
    let received = crm.listed().await;
    let in_short = |event: &Value| {
        let what = in_short(event);
        match event["action"].as_str() {
            Some("created") => what.split(" {").next().expect("a beginning").to_owned(),
            _ => what,
        }
    };
    let mut received: Vec<_> = received.iter().map(in_short).collect();
    // The order of the triggers of one statement is Postgres's.
    received.sort();
    let mut expected = [
        "listing:created l-1",
        "photo:created p-1",
        "listing:created l-2",
        "listing:updated l-1 {\"listPrice\":7}",
        "listing:deleted l-2",
        "listing:created l-3",
        "listing:updated l-1 {\"listPrice\":8}",
        "listing:created l-4",
        "listing:deleted l-1",
        "listing:created l-9",
        "photo:updated p-1 {\"listingId\":\"l-9\"}",
        "listing:deleted l-9",
        "photo:deleted p-1",
    ];
    expected.sort_unstable();
    assert_eq!(received, expected);
}

#[tokio::test]
async fn partitions_and_copies_are_published_too() {
    let mut crm = Crm::new().await;
    crm.run(
        "create table public.listings (id int, broker_id text, team_id text, price int,
             primary key (id, broker_id)) partition by list (broker_id);
         create table public.of_b partition of public.listings for values in ('b');
         create table public.others partition of public.listings default;
         select porchlight.watch('public.listings', module => 'listings',
             broker_column => 'broker_id', team_column => 'team_id')",
    )
    .await;
    let copied = crm.sql.copy_in_raw("copy public.listings from stdin").await;
    let mut copied = copied.expect("a copy");
    let rows = "1\tb\ta\t1\n1\tc\ta\t1\n";
    copied.send(rows.as_bytes()).await.expect("rows");
    copied.finish().await.expect("rows");
    crm.run("update public.listings set price = 2; update public.listings set broker_id = 'd' where broker_id = 'b'")
        .await;
    let received = all_in_short(&crm.listed().await);
    assert_eq!(received.len(), 3, "{received:?}");
    assert!(received[0].starts_with("listing:created 1"));
    assert_eq!(received[1], "listing:updated 1 {\"price\":2}");
    assert_eq!(received[2], "listing:deleted 1");
}

#[tokio::test]
async fn whoever_may_write_to_the_table_needs_no_other_right() {
    let mut crm = Crm::with_listings().await;
    crm.run(&format!(
        "create role \"{0}\"; grant all on public.listings to \"{0}\"; set role \"{0}\";
         set timezone = 'Asia/Tokyo'; set datestyle = 'German';
         insert into public.listings (id, team_id, archived_at)
             values ('l-1', 'a', '2025-11-02 12:00:00Z');
         update public.listings set archived_at = null;
         reset role; drop owned by \"{0}\"; drop role \"{0}\"",
        crm.a.database.url().split('/').next_back().expect("a name")
    ))
    .await;
    let received = crm.listed().await;
    assert_eq!(received[0]["data"]["archivedAt"], "2025-11-02T12:00:00Z");
    assert_eq!(received[1]["type"], "listing:restored");
}

#[tokio::test]
async fn a_table_that_is_watched_again_is_configured_anew_and_one_that_is_not_is_silent() {
    let mut crm = Crm::with_listings().await;
    crm.run("insert into public.listings (id, team_id) values ('l-1', 'a')")
        .await;
    crm.run(
        "select porchlight.watch('public.listings', module => 'flats', broker => 'b',
             camel_case => false)",
    )
    .await;
    crm.run("update public.listings set list_price = 1").await;
    let unwatched = "select porchlight.unwatch('public.listings')";
    for was_watched in [true, false] {
        let answer = sqlx::query_scalar::<_, bool>(unwatched).fetch_one(&mut crm.sql);
        assert_eq!(answer.await.unwrap(), was_watched);
    }
    crm.run("update public.listings set list_price = 2").await;
    crm.run(WATCH).await;
    crm.run("update public.listings set list_price = 3").await;
    let received = all_in_short(&crm.listed().await);
    assert_eq!(
        received[1..],
        [
            "flat:updated l-1 {\"list_price\":1}",
            "listing:updated l-1 {\"listPrice\":3}"
        ]
    );
}

//! Pages of few bytes join to the very list that a page without that limit is.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{List, run};
use crate::support::cluster::TestDatabase;
use crate::support::{Answer, Service, Token, eventually};

/// Bytes of a small page.
const FEW_BYTES: usize = 2_048;

/// Items of many sizes: from few bytes to more than a page may have.
const ROWS: &str = "
    create function pg_temp.text_of(i int) returns text language sql as
        $$ select repeat(chr(97 + i % 26), (i * i * 37) % 2500) $$;
    insert into porchlight.notification_books values ('b', 90);
    insert into porchlight.notifications (broker_id, id, audience, level, title, body)
        select 'b', i, (array['user:u', 'team:a', 'broker'])[i % 3 + 1], 'info', 'Look',
            nullif(pg_temp.text_of(i), '')
        from generate_series(1, 90) i;
    insert into porchlight.notification_reads (broker_id, id, user_id)
        select 'b', i, 'u' from generate_series(1, 90, 4) i;
    insert into porchlight.tasks (broker_id, id, user_id, team_id, type, title, params, max_attempts,
            created_at, message)
        select 'b', 't-' || i, (array['u', 'v'])[i % 2 + 1], (array['a', null])[i % 3 + 1], 'x',
            E'\\u0001\"', '{}', 3, now() - i / 2 * interval '1 second',
            nullif(left(pg_temp.text_of(i), 1000), '')
        from generate_series(1, 90) i;
    insert into porchlight.locks (broker_id, module, record_id, fence, user_id, session, sessions,
            audience, locked_at, renewed_at, locked_until)
        select 'b', (array['listings', 'leads'])[i % 2 + 1], 'l-' || i, 1, repeat('u', i % 60 + 1), 's',
            '{\"s\":{}}', 'team:a', now() - i / 5 * interval '1 second', now(), now() + interval '1 hour'
        from generate_series(1, 90) i;
    insert into porchlight.leads (broker_id, id, name, team_id, owner_id, notes, score)
        select 'b', 'r-' || i, 'Ann', 'a', (array['u', 'v'])[i % 2 + 1],
            nullif(pg_temp.text_of(i), ''), i % 7
        from generate_series(1, 90) i;";

/// Acts and events, of which some are private, for everybody, or of other types.
fn events() -> Vec<Value> {
    let event = |n: usize| {
        let audience = [
            json!({"user": "u"}),
            json!({"team": "a"}),
            json!({"broker": true}),
        ];
        let padding = "x".repeat((n * n * 37) % 2_500);
        let event_type = ["listing:updated", "test:tick"][n % 2];
        json!({"type": event_type, "audience": audience[n % 3],
            "module": "listings", "recordId": format!("l-{}", n % 5), "userId": "u",
            "changes": {"listPrice": n, "note": padding}})
    };
    (0..120).map(event).collect()
}

/// Each instance has noticed people at another moment.
fn without_differences(mut items: Vec<Value>) -> Vec<Value> {
    for item in &mut items {
        item.as_object_mut().expect("an object").remove("since");
    }
    items
}

#[tokio::test]
async fn small_pages_of_every_list_join_to_the_whole_of_it() {
    let database = Arc::new(TestDatabase::create().await);
    let whole = Service::on(Arc::clone(&database), &["--presence-grace-seconds=60"]).await;
    let flag = format!("--page-bytes={FEW_BYTES}");
    let small = Service::on(
        Arc::clone(&database),
        &["--presence-grace-seconds=60", &flag],
    )
    .await;
    let user = Token::user("u", &["a"]);
    run(&mut database.connect().await, ROWS).await;
    for events in events().chunks(30) {
        whole.publish(&json!({"events": events})).await;
    }
    eventually("records are published", async || {
        let page = whole.list("/events?limit=1000&types=lead:*", &user).await;
        (page["events"].as_array().map(Vec::len) == Some(90)).then_some(())
    })
    .await;
    for n in 0..40 {
        let viewing = json!({"module": "listings", "recordId": format!("l-{}", n % 2)});
        let body = json!({"session": "s", "viewing": viewing});
        let request = whole.client.post(whole.url("/presence/heartbeat"));
        let who = Token::user(&format!("person-{n}"), &["a"]);
        let request = request.bearer_auth(who.signed()).json(&body);
        assert_eq!(Answer::to(request).await.status, 200);
    }
    eventually("everybody is here", async || {
        let here = small.list("/presence", &user).await;
        (here["online"] == 40).then_some(())
    })
    .await;

    let events = |path, parameter| List {
        parameter,
        is_endless: parameter == "after",
        ..List::new(path, "events")
    };
    for (list, first) in [
        (events("/events?limit=1000", "after"), "after=0"),
        (events("/events?limit=1000&wait=0", "after"), "after=0"),
        (
            events("/events?limit=1000&types=test:*", "after"),
            "after=0",
        ),
        (
            events(
                "/events?limit=1000&records=listings/l-1,listings/l-3,listings/l-9",
                "after",
            ),
            "after=0",
        ),
        (events("/events?limit=1000", "before"), "before=99999"),
        (
            events("/events?limit=1000&types=lead:*,test:*", "before"),
            "before=99999",
        ),
        (
            events("/events?limit=1000&records=listings/l-1", "before"),
            "before=99999",
        ),
        (List::new("/notifications?limit=200", "notifications"), ""),
        (
            List::new("/notifications?limit=200&unread=true", "notifications"),
            "",
        ),
        (List::new("/tasks?limit=200", "tasks"), ""),
        (List::new("/tasks?limit=200&user=u", "tasks"), ""),
        (List::new("/locks", "locks"), ""),
        (List::new("/locks?module=leads", "locks"), ""),
        (List::new("/records/leads?limit=200", "records"), ""),
        (
            List::new("/records/leads?limit=200&sort=score", "records"),
            "",
        ),
        (List::new("/activity?limit=100", "activity"), ""),
        (
            List::new(
                "/activity?limit=100&module=listings&recordId=l-2",
                "activity",
            ),
            "",
        ),
        (List::new("/presence", "users"), ""),
        (List::new("/presence?record=listings/l-1", "users"), ""),
        (List::new("/presence?team=a", "users"), ""),
    ] {
        let first = first.to_owned();
        let expected = list.pages_from(&whole, &user, first.clone()).await;
        let expected = expected.iter().flat_map(|page| list.items(page));
        let expected = without_differences(expected.collect());
        let pages = list.pages_from(&small, &user, first).await;
        let mut joined = Vec::new();
        for page in &pages {
            let items = without_differences(list.items(page));
            let is_one = items.len() == 1;
            assert!(
                page.len() <= FEW_BYTES || is_one,
                "{list:?}: {}",
                page.len()
            );
            joined.extend(items);
        }
        assert_eq!(joined, expected, "{list:?}");
        assert!(pages.len() > 1, "{list:?}: {} pages", pages.len());
        assert!(expected.len() >= 5, "{list:?}: {} items", expected.len());
    }
}

//! The number of unread notifications is derived from a stored count: whatever happens, it
//! equals a count of all of them.

use std::sync::Arc;
use std::time::Duration;

use porchlight::inbox::notifications::retention;
use porchlight::platform::Pool;
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::postgres::PgPoolOptions;

use super::run;
use crate::support::cluster::TestDatabase;
use crate::support::requests::posted;
use crate::support::{Chance, Service, Token, short_or_long};

/// More than what is counted anew each time.
const ROWS: i64 = 700;

const OLD: &str = "
    insert into porchlight.notification_books values ('b', 700);
    insert into porchlight.notifications (broker_id, id, audience, level, title, created_at)
        select 'b', i, (array['user:u', 'team:a', 'team:z', 'broker', 'user:v'])[i % 5 + 1], 'info',
            'Look', now() - (20000 - i) * interval '1 minute'
        from generate_series(1, 700) i;";

async fn truly_unread(sql: &mut PgConnection, who: &Token) -> i64 {
    let mut audiences = vec!["broker".to_owned(), format!("user:{}", who.user)];
    audiences.extend(who.teams.iter().map(|team| format!("team:{team}")));
    let count = "select count(*) from porchlight.notifications n
        left join porchlight.notification_marks m on m.broker_id = n.broker_id and m.user_id = $1
        where n.audience = any($2) and n.id > coalesce(m.read_up_to, 0) and not exists (
            select from porchlight.notification_reads r where r.id = n.id and r.user_id = $1)";
    let count = sqlx::query_scalar(count).bind(&who.user).bind(&audiences);
    count.fetch_one(sql).await.expect("a count")
}

/// The number of unread ones in the newest event, its user, and their teams.
async fn last_count(sql: &mut PgConnection) -> (i64, String, Vec<String>) {
    let last = "select (e.data ->> 'unread')::bigint, m.user_id,
            array(select substr(team, 6) from unnest(m.teams) team)
        from porchlight.events e
        join porchlight.notification_marks m on e.audience = 'user:' || m.user_id
        where e.position = (select max(position) from porchlight.events)";
    let last = sqlx::query_as(last).fetch_one(sql).await;
    last.expect("a number of unread ones")
}

/// Where a new number of unread notifications is to be found.
enum Count {
    Nobody,
    /// In the answer, for the user that asked.
    Answer(i64),
    /// In the newest event, for its user.
    Event,
}

async fn act(service: &Service, chance: &mut Chance, who: &Token) -> Count {
    let below_last = i64::try_from(chance.below(900)).expect("small") + 1;
    match chance.below(10) {
        0..3 => {
            let audiences = [
                json!({"user": who.user}),
                json!({"team": "a"}),
                json!({"broker": true}),
            ];
            let audience = chance.of(&audiences);
            let body = json!({"audience": audience, "level": "info", "title": "t"});
            posted(service, &Token::service("b"), "/notifications", &body).await;
            if audience["user"].is_string() {
                Count::Event
            } else {
                Count::Nobody
            }
        }
        3..8 => {
            let listed = service
                .list(&format!("/notifications?limit=1&cursor={below_last}"), who)
                .await;
            let Some(id) = listed["notifications"][0]["id"].as_i64() else {
                return Count::Nobody;
            };
            let path = format!("/notifications/{id}/read");
            answered(&posted(service, who, &path, &json!({})).await)
        }
        8 => {
            let body = json!({"upTo": below_last / 4 + 1});
            answered(&posted(service, who, "/notifications/read-all", &body).await)
        }
        _ => answered(&service.list("/notifications", who).await),
    }
}

fn answered(answer: &Value) -> Count {
    Count::Answer(answer["unread"].as_i64().expect("a number"))
}

#[tokio::test]
async fn what_is_counted_on_is_what_is_unread_whatever_happens() {
    let database = Arc::new(TestDatabase::create().await);
    let services = [
        Service::on(Arc::clone(&database), &[]).await,
        Service::on(Arc::clone(&database), &[]).await,
    ];
    let mut sql = database.connect().await;
    services[0].list("/events", &Token::user("u", &["a"])).await;
    run(&mut sql, OLD).await;
    let pool = PgPoolOptions::new().connect_with(database.options()).await;
    let pool = Pool::from(pool.expect("connections"));
    let devices = [
        Token::user("u", &["a"]),
        Token::user("v", &["a", "z"]),
        // The same user, whose older token names another team.
        Token::user("u", &["z"]),
    ];
    let mut chance = Chance::new();
    for n in 0..short_or_long(100, 300) {
        // Mostly one device, so that its count is used.
        let who = &devices[if chance.below(8) == 0 {
            chance.below(3)
        } else {
            0
        }];
        let counted = act(&services[chance.below(2)], &mut chance, who).await;
        let (counted, who) = match counted {
            Count::Nobody => (None, who.clone()),
            Count::Answer(unread) => (Some(unread), who.clone()),
            // For the teams of the device that asked last.
            Count::Event => {
                let (unread, user, teams) = last_count(&mut sql).await;
                let teams: Vec<_> = teams.iter().map(String::as_str).collect();
                (Some(unread), Token::user(&user, &teams))
            }
        };
        if let Some(counted) = counted {
            let truly = truly_unread(&mut sql, &who).await;
            assert_eq!(counted, truly, "{n}: {}", who.user);
        }
        if n % 60 == 59 {
            // Some of the oldest are removed. Some of these were counted.
            let age = Duration::from_mins(20_000 - 30 * (n / 60 + 1));
            assert!(retention::run(&pool, age).await.expect("it runs") > 0);
        }
        for who in &devices {
            let listed = services[chance.below(2)].list("/notifications", who).await;
            let truly = truly_unread(&mut sql, who).await;
            assert_eq!(listed["unread"], truly, "{n}: {}", who.user);
        }
    }
    // The stored count was used.
    let kept = "select max(counted_up_to) from porchlight.notification_marks";
    let kept: i64 = sqlx::query_scalar(kept)
        .fetch_one(&mut sql)
        .await
        .expect("a number");
    assert!(kept >= ROWS, "{kept}");
}

#[tokio::test]
async fn unread_ones_are_listed_to_the_last_and_no_further() {
    let service = Service::start().await;
    let who = Token::user("u", &["a"]);
    service.list("/events", &who).await;
    let mut sql = service.database.connect().await;
    run(&mut sql, OLD).await;
    let read = "insert into porchlight.notification_reads (broker_id, id, user_id)
        select 'b', id, 'u' from porchlight.notifications where id not in (11, 13, 600)";
    run(&mut sql, read).await;
    for (limit, expected) in [
        (1, vec![600]),
        (2, vec![600, 13]),
        (3, vec![600, 13, 11]),
        (50, vec![600, 13, 11]),
    ] {
        let page = service
            .list(&format!("/notifications?unread=true&limit={limit}"), &who)
            .await;
        let ids = page["notifications"].as_array().expect("a list").iter();
        let ids: Vec<_> = ids.map(|one| one["id"].as_i64().expect("an id")).collect();
        assert_eq!(
            (ids, page["unread"].as_i64()),
            (expected, Some(3)),
            "{limit}"
        );
        assert_eq!(page["next"].is_null(), limit >= 3, "{limit}");
    }
}

//! History: pages that miss nothing and repeat nothing.

use serde_json::{Value, json};

use crate::support::{Answer, Service, Token, eventually, for_team, number, numbers_on};

/// Events for team a, with others' between them, of two types and about two records.
async fn fill(service: &Service, n: u64) {
    let events: Vec<_> = (0..n)
        .flat_map(|n| {
            let mut event = for_team("a", n);
            event["type"] = json!(if n % 3 == 0 { "odd_:x" } else { "test:tick" });
            event["module"] = json!("escrows");
            event["recordId"] = json!(if n % 4 == 0 { "e-1" } else { "e-2" });
            [for_team("other", n), event]
        })
        .collect();
    for events in events.chunks(1_000) {
        service.publish(&json!({"events": events})).await;
    }
}

/// Everything from `path` on, page by page, as a client does it.
async fn everything(
    service: &Service,
    token: &Token,
    path: &str,
    place: &str,
    limit: usize,
) -> Vec<u64> {
    let (mut all, mut next) = (Vec::new(), String::new());
    loop {
        let at = if next.is_empty() {
            String::new()
        } else {
            format!("&{place}={next}")
        };
        let page = service
            .list(&format!("{path}&limit={limit}{at}"), token)
            .await;
        let numbers = numbers_on(&page);
        assert!(numbers.len() <= limit);
        if place == "after" && numbers.is_empty() {
            return all;
        }
        all.extend(numbers);
        match page["next"].as_str() {
            Some(position) => position.clone_into(&mut next),
            None => return all,
        }
    }
}

#[tokio::test]
async fn both_directions_page_through_everything_once() {
    let service = Service::start().await;
    fill(&service, 120).await;
    let many: Vec<_> = (0..20)
        .map(|n| format!("t{n}"))
        .chain(["a".to_owned()])
        .collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let is_any = |_: &u64| true;
    for token in [Token::user("u", &["a"]), Token::user("u", &many)] {
        let filters: [(&str, fn(&u64) -> bool); 5] = [
            ("", is_any),
            ("&types=odd_:*", |n| n % 3 == 0),
            ("&types=oddx:*,test:tick", |n| n % 3 != 0),
            ("&records=escrows/e-1", |n| n % 4 == 0),
            ("&types=odd_:x&records=escrows/e-1,escrows/e-9", |n| {
                n % 12 == 0
            }),
        ];
        for (filter, passes) in filters {
            let mut expected: Vec<_> = (0..120).filter(passes).collect();
            for limit in [1, 7, 120, 1_000] {
                let path = format!("/events?scope=team{filter}");
                let all = everything(&service, &token, &path, "after", limit).await;
                assert_eq!(all, expected, "{filter} {limit}");
                let back = format!("{path}&before=999999");
                let newest = service.list(&format!("{back}&limit={limit}"), &token).await;
                let mut all = numbers_on(&newest);
                if let Some(next) = newest["next"].as_str() {
                    let rest = format!("{path}&before={next}");
                    let page = service.list(&format!("{rest}&limit=1000"), &token).await;
                    assert_eq!(page["next"], Value::Null);
                    all.extend(numbers_on(&page));
                }
                expected.reverse();
                assert_eq!(all, expected, "{filter} {limit}");
                expected.reverse();
            }
        }
    }
}

#[tokio::test]
async fn going_back_page_by_page_ends_at_the_beginning() {
    let service = Service::start().await;
    fill(&service, 50).await;
    let token = Token::user("u", &["a"]);
    for limit in [1, 10, 49, 50, 51] {
        let (mut all, mut next) = (Vec::new(), "101".to_owned());
        while !next.is_empty() {
            let page = service
                .list(&format!("/events?before={next}&limit={limit}"), &token)
                .await;
            all.extend(numbers_on(&page));
            page["next"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut next);
        }
        assert_eq!(all, (0..50).rev().collect::<Vec<_>>(), "{limit}");
    }
}

#[tokio::test]
async fn next_goes_past_events_for_others_and_stays_where_nothing_follows() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let empty = Answer::to(service.get("/events", &token)).await;
    let at = empty.json()["next"]
        .as_str()
        .expect("a position")
        .to_owned();
    assert_eq!((&at[..2], empty.header("stream-position")), ("0-", &at[..]));
    fill(&service, 10).await;
    let page = service.list(&format!("/events?after={at}"), &token).await;
    let last = page["next"].as_str().unwrap().to_owned();
    assert!(last.starts_with("20-"), "{last}");
    service.publish(&for_team("other", 1)).await;
    let page =
        Answer::to(service.get(&format!("/events?after={last}&types=nothing:*"), &token)).await;
    assert!(
        page.json()["next"].as_str().unwrap().starts_with("21-"),
        "{}",
        page.text
    );
    assert_eq!(page.json()["next"], page.header("stream-position"));
    let again = service
        .list(
            &format!("/events?after={}", page.header("stream-position")),
            &token,
        )
        .await;
    assert_eq!(
        again,
        json!({"events": [], "next": page.header("stream-position")})
    );
    // A full page ends at its last event, though it may be the last of all.
    let page = service.list("/events?limit=10", &token).await;
    assert_eq!(page["next"], page["events"][9]["position"]);
    let page = service.list("/events?before=1", &token).await;
    assert_eq!(page, json!({"events": [], "next": null}));
}

#[tokio::test]
async fn a_position_that_cannot_be_served_is_gone_and_says_where_to_go_on() {
    let flags = ["--retention-events=10", "--retention-interval-seconds=1"];
    let service = Service::with(&flags).await;
    let token = Token::user("u", &["a"]);
    fill(&service, 25).await;
    let head = Answer::to(service.get("/events?limit=1", &token)).await;
    let head = head.header("stream-position").to_owned();
    let epoch = head.split_once('-').unwrap().1.to_owned();
    eventually("old events go", async || {
        let page = service.list("/events", &token).await;
        (numbers_on(&page) == [20, 21, 22, 23, 24]).then_some(())
    })
    .await;
    for (cursor, code) in [
        ("1".to_owned(), "cursor_expired"),
        (format!("39-{epoch}"), "cursor_expired"),
        (format!("0-{epoch}"), "cursor_expired"),
        ("45-zzzzzz".to_owned(), "cursor_unknown"),
        (format!("51-{epoch}"), "cursor_ahead"),
        ("9223372036854775807".to_owned(), "cursor_ahead"),
    ] {
        for path in [
            "/events?after=",
            "/events?wait=60&after=",
            "/events?scope=user&types=x&after=",
        ] {
            let answer = Answer::to(service.get(&format!("{path}{cursor}"), &token)).await;
            answer.refused(410, code, &cursor);
            assert_eq!(answer.json()["position"], head, "{cursor}");
        }
    }
    // The last position that is gone is the last that can be gone on from.
    let page = service
        .list(&format!("/events?after=40-{epoch}"), &token)
        .await;
    assert_eq!(numbers_on(&page), [20, 21, 22, 23, 24]);
    let page = service.list("/events?before=45", &token).await;
    assert_eq!(
        (numbers_on(&page), &page["next"]),
        (vec![21, 20], &Value::Null)
    );
}

#[tokio::test]
async fn a_page_and_the_stream_from_its_position_miss_nothing_and_repeat_nothing() {
    let service = Service::with(&["--streams-per-user=100"]).await;
    let token = Token::user("u", &["a"]);
    let publishing = async {
        for n in 0..300 {
            service.publish(&for_team("a", n)).await;
        }
    };
    let reading = async {
        for _ in 0..15 {
            let page = Answer::to(service.get("/events?limit=1000", &token)).await;
            let mut all = numbers_on(&page.json());
            let since = page.header("stream-position");
            let mut stream = service
                .stream(&format!("/stream?since={since}"), &token)
                .await;
            while all.last() != Some(&299) {
                all.push(number(&stream.next_logged().await));
            }
            assert_eq!(all, (0..300).collect::<Vec<_>>(), "from {since} on");
        }
    };
    // Each read ends when all is published, so the first ones overlap with it most.
    let early = async {
        let mut streams = Vec::new();
        for _ in 0..30 {
            let page = Answer::to(service.get("/events?limit=1000", &token)).await;
            let since = page.header("stream-position").to_owned();
            let stream = service
                .stream(&format!("/stream?since={since}"), &token)
                .await;
            streams.push((numbers_on(&page.json()), stream));
        }
        for (mut all, mut stream) in streams {
            while all.last() != Some(&299) {
                all.push(number(&stream.next_logged().await));
            }
            assert_eq!(all, (0..300).collect::<Vec<_>>());
        }
    };
    tokio::join!(publishing, early);
    reading.await;
}

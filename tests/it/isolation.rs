//! Nobody receives what is not for them: not of another broker, team or user, by no
//! endpoint, with no parameter, live or replayed, from memory or from the table.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::cluster::TestDatabase;
use crate::support::{Answer, Service, Stream, Token, Way, for_team, number};

const BROKERS: [&str; 2] = ["b", "c"];
/// Names that occur as users and as teams, at both brokers.
const NAMES: [&str; 3] = ["u", "a", "z"];

/// Publishes to each audience of both brokers, and names it in the data.
async fn publish_to_everyone(service: &Service, round: u32) {
    for broker in BROKERS {
        let event = |audience: Value, to: String| {
            json!({"type": "test:sent", "audience": audience, "module": "escrows",
                "recordId": "e-1", "data": {"to": format!("{broker} {to} {round}")}})
        };
        let mut events = Vec::new();
        for name in NAMES {
            events.push(event(json!({"team": name}), format!("team:{name}")));
            events.push(event(json!({"user": name}), format!("user:{name}")));
        }
        events.push(event(json!({"broker": true}), "broker".to_owned()));
        let answer = service.post(broker, &json!({"events": events})).await;
        assert_eq!(answer.status, 201);
    }
}

/// What somebody receives in so many rounds, in the order of the log.
fn expected(token: &Token, scope: &str, rounds: u32) -> Vec<String> {
    let (user, broker) = (format!("user:{}", token.user), "broker".to_owned());
    let teams = token.teams.iter().map(|team| format!("team:{team}"));
    let mine: Vec<_> = match scope {
        "user" => vec![user],
        "team" => teams.collect(),
        "broker" => vec![broker],
        _ => [user, broker].into_iter().chain(teams).collect(),
    };
    let all = NAMES
        .iter()
        .flat_map(|n| [format!("team:{n}"), format!("user:{n}")]);
    let all: Vec<_> = all.chain(["broker".to_owned()]).collect();
    let received = |round| {
        let received = all.iter().filter(|to| mine.contains(to));
        received.map(move |to| format!("{} {to} {round}", token.broker))
    };
    (0..rounds).flat_map(received).collect()
}

fn addressee(event: &Value) -> String {
    event["data"]["to"]
        .as_str()
        .expect("an addressee")
        .to_owned()
}

/// The streams there are, and the scope of each.
const STREAMS: [(&str, &str); 6] = [
    ("all", "/stream?"),
    ("user", "/stream/user?"),
    ("team", "/stream/team?"),
    ("team", "/stream/team?team=TEAM&"),
    ("broker", "/stream/broker?"),
    ("all", "/stream/records/escrows/e-1?"),
];
const FILTERS: [&str; 3] = ["", "&types=test:*,other", "&types=*&named=true"];
/// Several ways to ask for everything; the last is a header.
const STARTS: [&str; 3] = ["since=0", "since=-1000", "HEADER"];

/// The readers: users of the same name at two brokers, and one whose name is a team and whose team
/// is a user.
fn readers() -> Vec<Token> {
    let twins = BROKERS.map(|broker| Token::user("u", &["a"]).of(broker));
    twins
        .into_iter()
        .chain([Token::user("a", &["u"])])
        .collect()
}

async fn open(service: &Service, token: &Token, path: &str, n: usize) -> Stream {
    let (start, way) = (STARTS[n % 3], Way::ALL[n / 3 % 3]);
    let (filter, signed) = (FILTERS[n % 2 + n / 9 % 2], token.signed());
    let path = path.replace("TEAM", &token.teams[0]);
    if start == "HEADER" {
        let url = service.url(&format!("{path}since=7{filter}"));
        let request = way.get(&service.client, &url, &signed);
        return Stream::open(request.header("Last-Event-ID", "0")).await;
    }
    let url = service.url(&format!("{path}{start}{filter}"));
    Stream::open(way.get(&service.client, &url, &signed)).await
}

async fn check_streams(service: &Service, rounds: u32) {
    let mut streams = Vec::new();
    for token in readers() {
        for (scope, path) in STREAMS {
            for n in 0..18 {
                let stream = open(service, &token, path, n).await;
                streams.push((
                    format!("{token:?} {path} {n}"),
                    expected(&token, scope, rounds + 2),
                    stream,
                ));
            }
        }
    }
    publish_to_everyone(service, rounds).await;
    publish_to_everyone(service, rounds + 1).await;
    for (what, expected, mut stream) in streams {
        let seen = stream.logged(expected.len()).await;
        let seen: Vec<_> = seen.iter().map(|event| addressee(&event.json())).collect();
        assert_eq!(seen, expected, "{what}");
    }
}

#[tokio::test]
async fn no_stream_carries_what_is_for_others() {
    let database = Arc::new(TestDatabase::create().await);
    let flags = ["--streams-per-user=10000"];
    let service = Service::on(Arc::clone(&database), &flags).await;
    publish_to_everyone(&service, 0).await;
    check_streams(&service, 1).await;
    check_streams(&service, 3).await;
    service.stop().await;
    // A new process has nothing in memory: everything old comes from the table.
    let service = Service::on(database, &flags).await;
    check_streams(&service, 5).await;
}

#[tokio::test]
async fn no_page_of_history_lists_what_is_for_others() {
    let service = Service::start().await;
    publish_to_everyone(&service, 0).await;
    publish_to_everyone(&service, 1).await;
    let (places, waits) = (
        ["", "&after=0", "&before=1000", "&limit=100"],
        ["", "&wait=1"],
    );
    let filters = [
        "",
        "&types=test:*",
        "&records=escrows/e-1",
        "&types=*&records=escrows/e-1,x/y",
    ];
    for token in readers() {
        for (scope, path) in [
            ("all", "/events?scope=all"),
            ("all", "/events?"),
            ("user", "/events?scope=user"),
            ("team", "/events?scope=team"),
            ("team", "/events?scope=team&team=TEAM"),
            ("broker", "/events?scope=broker"),
        ] {
            for (n, place) in places.iter().enumerate() {
                for (m, filter) in filters.iter().enumerate() {
                    let wait = if place.contains("before") {
                        ""
                    } else {
                        waits[m % 2]
                    };
                    let path = path.replace("TEAM", &token.teams[0]);
                    let url = service.url(&format!("{path}{place}{filter}{wait}"));
                    let way = Way::ALL[(n + m) % 3];
                    let answer = Answer::to(way.get(&service.client, &url, &token.signed())).await;
                    assert_eq!(answer.status, 200, "{url}: {}", answer.text);
                    let events = answer.json()["events"].as_array().expect("events").clone();
                    let mut seen: Vec<_> = events.iter().map(addressee).collect();
                    if place.contains("before") {
                        seen.reverse();
                    }
                    assert_eq!(seen, expected(&token, scope, 2), "{token:?} {url}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_team_of_others_is_the_same_as_one_that_does_not_exist() {
    let service = Service::start().await;
    publish_to_everyone(&service, 0).await;
    let other = Token::user("x", &["elsewhere"]).of("c");
    service
        .post(
            "c",
            &json!({"type": "t", "audience": {"team": "elsewhere"}}),
        )
        .await;
    let _open = service.stream("/stream/team", &other).await;
    let token = Token::user("u", &["a"]);
    for path in ["/stream/team?team=", "/events?scope=team&team="] {
        let mut answers = Vec::new();
        // Of the same broker, of another broker, the user's own name, and none at all.
        for team in ["z", "elsewhere", "u", "no-such-team"] {
            let answer = Answer::to(service.get(&format!("{path}{team}"), &token)).await;
            let field = answer.refused(404, "unknown_team", &format!("{path}{team}"));
            assert_eq!(field.as_deref(), Some("team"));
            answers.push(answer.text.replace(&format!("team {team} "), "TEAM "));
        }
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{answers:?}"
        );
        let nobody = Token::user("u", &[]);
        let answer = Answer::to(service.get(&format!("{path}a"), &nobody)).await;
        answer.refused(404, "unknown_team", path);
    }
    for path in ["/stream/team", "/events?scope=team"] {
        let answer = Answer::to(service.get(path, &Token::user("u", &[]))).await;
        answer.refused(404, "no_team", path);
    }
}

#[tokio::test]
async fn a_cursor_of_another_brokers_log_is_unknown() {
    let service = Service::start().await;
    publish_to_everyone(&service, 0).await;
    let of_c = Token::user("u", &["a"]).of("c");
    let foreign = service.list("/events?limit=1", &of_c).await["next"].clone();
    let foreign = foreign.as_str().expect("a position");
    let token = Token::user("u", &["a"]);
    for path in STREAMS.map(|(_, path)| path.replace("TEAM", "a")) {
        let mut by_header = service.resume(&path, &token, foreign).await;
        let mut by_parameter = service
            .stream(&format!("{path}since={foreign}"), &token)
            .await;
        for stream in [&mut by_header, &mut by_parameter] {
            assert_eq!(stream.next().await.name, "stream:ready");
            let reset = stream.next().await;
            assert_eq!(reset.name, "stream:reset", "{path}");
            assert_eq!(reset.json()["reason"], "unknown", "{path}");
        }
    }
    for path in ["/events?after=", "/events?before=", "/events?wait=5&after="] {
        let answer = Answer::to(service.get(&format!("{path}{foreign}"), &token)).await;
        answer.refused(410, "cursor_unknown", path);
        let position = answer.json()["position"]
            .as_str()
            .expect("a position")
            .to_owned();
        assert!(position.starts_with("7-"), "{position}");
    }
}

#[tokio::test]
async fn someone_on_many_teams_receives_all_of_theirs_and_nothing_else() {
    let database = Arc::new(TestDatabase::create().await);
    let service = Service::on(Arc::clone(&database), &[]).await;
    let events: Vec<_> = (0..6_000)
        .map(|n| for_team(&format!("t{}", n % 300), n))
        .collect();
    for broker in BROKERS {
        for events in events.chunks(1_000) {
            let answer = service.post(broker, &json!({"events": events})).await;
            assert_eq!(answer.status, 201);
        }
    }
    service.stop().await;
    let service = Service::on(database, &[]).await;
    let teams: Vec<_> = (0..60).map(|n| format!("t{}", n * 5)).collect();
    let teams: Vec<_> = teams.iter().map(String::as_str).collect();
    let token = Token::user("u", &teams);
    let expected: Vec<_> = (0..6_000).filter(|n| n % 5 == 0).collect();
    let mut stream = service.stream("/stream?since=0", &token).await;
    let seen: Vec<_> = stream
        .logged(expected.len())
        .await
        .iter()
        .map(number)
        .collect();
    assert_eq!(seen, expected);
    let page = service.list("/events?limit=1000", &token).await;
    let page = page["events"].as_array().expect("events").iter();
    let listed: Vec<_> = page
        .map(|event| event["data"]["n"].as_u64().expect("a number"))
        .collect();
    assert_eq!(listed, expected[..1_000]);
}

#[tokio::test]
async fn streams_of_a_twin_at_another_broker_do_not_count() {
    let service = Service::with(&["--streams-per-user=1"]).await;
    let mut streams = Vec::new();
    for token in [
        Token::user("u", &["a"]),
        Token::user("u", &["a"]).of("c"),
        Token::user("a", &["u"]),
    ] {
        streams.push((
            token.broker.clone(),
            service.stream("/stream", &token).await,
        ));
    }
    for broker in BROKERS {
        service
            .post(broker, &json!({"type": "t", "audience": {"broker": true}}))
            .await;
    }
    for (broker, mut stream) in streams {
        assert_eq!(stream.next().await.name, "stream:ready", "{broker}");
        assert_eq!(stream.next().await.name, "t", "{broker}");
    }
}

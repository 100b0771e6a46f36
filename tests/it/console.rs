//! The page is whole: everything it is made of is served, compressed and kept, and nothing else.

use std::path::Path;

use serde_json::json;

use crate::support::{Answer, Service, Token};

/// Files in these folders are for others.
const ELSEWHERE: [&str; 3] = ["client/src/react/", "client/src/testing/", "console/README"];
/// All that a browser receives for the first view, compressed.
const MOST_BYTES: usize = 120 * 1_024;

fn names() -> Vec<String> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let mut names = Vec::new();
    let mut folders = vec![web.join("console"), web.join("client/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&web).expect("inside").to_str();
            let name = name.expect("text").to_owned();
            let is_served = [".js", ".css"].iter().any(|end| name.ends_with(end));
            let is_elsewhere = ELSEWHERE.iter().any(|folder| name.starts_with(folder))
                || name.starts_with("client/src/react");
            if is_served && !is_elsewhere {
                names.push(name);
            }
        }
    }
    names
}

async fn get(service: &Service, path: &str) -> Answer {
    Answer::to(service.client.get(service.url(path))).await
}

/// Everything between quotes in the page that begins with its folder.
fn linked(page: &str) -> Vec<&str> {
    let parts = page.split('"');
    let mut linked: Vec<_> = parts.filter(|part| part.starts_with("/console/")).collect();
    linked.sort_unstable();
    linked.dedup();
    linked
}

#[tokio::test]
async fn every_file_of_the_page_is_served_as_what_it_is_and_may_speak_with_this_service_only() {
    let service = Service::start().await;
    let mut paths: Vec<_> = names()
        .iter()
        .map(|name| format!("/console/{name}"))
        .collect();
    assert!(paths.len() > 80, "{paths:?}");
    paths.extend(["/", "/inspector", "/operations"].map(str::to_owned));
    for path in &paths {
        let answer = get(&service, path).await;
        let kind = match path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some(_) => "text/javascript; charset=utf-8",
            None => "text/html; charset=utf-8",
        };
        let is_it = (answer.status, answer.header("content-type"));
        assert_eq!(is_it, (200, kind), "{path}");
        assert_eq!(answer.header("cache-control"), "no-cache", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        // A third of what is sent would be policies, if every script had one.
        if kind != "text/html; charset=utf-8" && !path.ends_with("/worker.js") {
            continue;
        }
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let policy = answer.header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        // The policy forbids scripts and styles within a page: it must have none.
        for inline in ["<style", " style=", " onclick=", "<script>"] {
            assert!(!answer.text.contains(inline), "{path}: {inline}");
        }
    }
}

#[tokio::test]
async fn a_view_names_all_it_needs_small_and_under_a_path_that_is_kept_for_ever() {
    let service = Service::start().await;
    for view in ["/", "/inspector", "/operations"] {
        let page = get(&service, view).await.text;
        let request = service.client.get(service.url(view));
        let compressed = Answer::to(request.header("accept-encoding", "gzip")).await;
        assert_eq!(compressed.header("content-encoding"), "gzip", "{view}");
        let mut bytes = 0;
        for path in linked(&page) {
            let request = service.client.get(service.url(path));
            let answer = Answer::to(request.header("accept-encoding", "gzip")).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.header("content-encoding"), "gzip", "{path}");
            let for_ever = "public, max-age=31536000, immutable";
            assert_eq!(answer.header("cache-control"), for_ever, "{path}");
            let length = answer.header("content-length").parse::<usize>();
            bytes += length.expect("a number");
        }
        assert!((10_000..MOST_BYTES).contains(&bytes), "{view}: {bytes}");
    }
}

#[tokio::test]
async fn there_is_nothing_else_beside_it() {
    let service = Service::start().await;
    for path in [
        "/console/",
        "/console/index.html",
        "/console/console/index.html",
        "/console/console/nothing.js",
        "/console/console/CONSOLE.JS",
        "/console/000000000000/console/console.js",
        "/console/client/src/testing/index.js",
        "/console/..%2F..%2FCargo.toml",
        "/console/console/console.js%00",
    ] {
        get(&service, path).await.refused(404, "not_found", path);
    }
}

#[tokio::test]
async fn a_demo_signs_visitors_in_as_one_of_its_people_and_nothing_else_does() {
    let (demo, other) = (Service::with(&["--demo"]).await, Service::start().await);
    let post = async |service: &Service, user: &str| {
        let request = service.client.post(service.url("/demo"));
        Answer::to(request.json(&json!({"user": user}))).await
    };
    assert_eq!(get(&other, "/demo").await.json(), json!({"people": []}));
    post(&other, "bob")
        .await
        .refused(404, "not_found", "no demo");
    post(&demo, "mallory")
        .await
        .refused(404, "not_found", "nobody of the demo");
    let people = get(&demo, "/demo").await.json();
    assert_eq!(people["people"][1]["name"], "Bob Castillo");
    let signed_in = post(&demo, "bob").await;
    assert_eq!(signed_in.status, 201);
    assert_eq!(signed_in.header("cache-control"), "no-store");
    let token = signed_in.json()["token"].as_str().expect("one").to_owned();
    let request = demo.client.get(demo.url("/session")).bearer_auth(token);
    let session = Answer::to(request).await.json();
    let bob = json!([session["userId"], session["role"], session["broker"]]);
    assert_eq!(bob, json!(["bob", "agent", "acme"]));
    let request = demo.client.post(demo.url("/demo"));
    let service = json!({"user": "bob", "role": "service"});
    let token = Answer::to(request.json(&service)).await.json()["token"].clone();
    let publish = demo.client.post(demo.url("/events"));
    let publish = publish.bearer_auth(token.as_str().expect("one"));
    let event = json!({"type": "listing:sold", "audience": {"broker": true}});
    let published = Answer::to(publish.json(&event)).await;
    assert_eq!(published.status, 201, "{}", published.text);
}

#[tokio::test]
async fn names_of_users_are_told_to_their_own_brokerage() {
    let service = Service::with(&["--demo"]).await;
    let names = async |broker: &str, users: &str| {
        let token = Token::user("x", &["team-a"]).of(broker);
        let request = service.get("/people", &token);
        Answer::to(request.query(&[("users", users)])).await
    };
    let known = names("acme", "bob\nnobody").await.json();
    let bob = json!({"people": [{"userId": "bob", "name": "Bob Castillo"}]});
    assert_eq!(known, bob);
    let foreign = names("elsewhere", "bob").await.json();
    assert_eq!(foreign, json!({"people": []}));
    let many = "u\n".repeat(101);
    names("acme", &many)
        .await
        .refused(400, "invalid_parameter", "101 users");
}

//! The console's page is whole: everything it is made of is served, and nothing else.

use std::path::Path;

use crate::support::{Answer, Service};

fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/console");
    let files = std::fs::read_dir(folder).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name());
    let names = names.map(|name| name.into_string().expect("text"));
    names.filter(|name| name != "index.html").collect()
}

async fn get(service: &Service, path: &str) -> Answer {
    Answer::to(service.client.get(service.url(path))).await
}

#[tokio::test]
async fn every_file_of_the_page_is_served_as_what_it_is() {
    let service = Service::start().await;
    let names = names();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let answer = get(&service, &format!("/console/{name}")).await;
        assert_eq!(answer.status, 200, "{name}");
        let is_style = name == "console.css";
        let kind = if is_style {
            "text/css"
        } else {
            "text/javascript"
        };
        assert!(answer.header("content-type").starts_with(kind), "{name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("script-src 'self'"), "{name}: {policy}");
    }
}

#[tokio::test]
async fn there_is_nothing_else_beside_it() {
    let service = Service::start().await;
    for path in [
        "/console/",
        "/console/index.html",
        "/console/nothing.js",
        "/console/CONSOLE.JS",
        "/console/..%2F..%2FCargo.toml",
        "/console/console.js%00",
    ] {
        get(&service, path).await.refused(404, "not_found", path);
    }
}

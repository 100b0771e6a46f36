//! What admins see of the running service, and do.

use porchlight::identity::Role;
use serde_json::Value;

use crate::support::{Answer, Service, Token};

mod alerts;
mod connections;
mod overview;
mod poison;

fn ann() -> Token {
    Token::user("ann", &["a"])
}

fn admin() -> Token {
    Token::user("boss", &[]).in_role(Role::Admin)
}

/// The answer to a GET of an admin.
async fn seen(service: &Service, path: &str) -> Value {
    let answer = Answer::to(service.get(path, &admin())).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

#[tokio::test]
async fn only_admins_see_and_do_this() {
    let service = Service::start().await;
    for role in [Role::Agent, Role::Service, Role::Worker] {
        let who = Token::user("eve", &["a"]).in_role(role);
        for path in ["/admin/overview", "/admin/connections", "/admin/poison"] {
            let answer = Answer::to(service.get(path, &who)).await;
            answer.refused(403, "role_needed", path);
        }
        for path in [
            "/admin/connections/1/disconnect",
            "/admin/poison/1/retry",
            "/admin/poison/1/discard",
        ] {
            let request = service.client.post(service.url(path));
            let answer = Answer::to(request.bearer_auth(who.signed())).await;
            answer.refused(403, "role_needed", path);
        }
    }
}

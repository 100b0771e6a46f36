//! Tokens of the people that most tests have.

use porchlight::identity::Role;

use super::Token;

/// An agent on team `a`.
pub fn agent(name: &str) -> Token {
    Token::user(name, &["a"])
}

pub fn ann() -> Token {
    agent("ann")
}

/// An admin on these teams.
pub fn admin(teams: &[&str]) -> Token {
    Token::user("boss", teams).in_role(Role::Admin)
}

pub fn worker(name: &str) -> Token {
    Token::user(name, &[]).in_role(Role::Worker)
}

/// Everyone on team `a`, and whether they may see the private fields of Ann's records.
pub fn readers_of_private_fields() -> Vec<(Token, bool)> {
    vec![
        (ann(), true),
        (admin(&["a"]), true),
        (agent("bob"), false),
        (agent("svc").in_role(Role::Service), false),
        (agent("wes").in_role(Role::Worker), false),
    ]
}

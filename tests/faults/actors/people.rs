//! Brokerages, teams and users of a run.

use crate::support::{Chance, Token};

pub const TEAMS: [&str; 4] = ["t0", "t1", "t2", "t3"];
pub const USERS: [&str; 8] = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"];
/// Brokerages whose events are published, the first far more often.
pub const BROKERAGES: [&str; 2] = ["b", "c"];
/// Only these users own records of the CRM.
pub const OWNERS: [&str; 2] = ["u0", "u1"];

/// The teams of a user: two in all.
pub fn teams_of(user: usize) -> [&'static str; 2] {
    [TEAMS[user % 4], TEAMS[(user + 1) % 4]]
}

/// A user of the first brokerage.
pub fn user(n: usize) -> Token {
    Token::user(USERS[n], &teams_of(n))
}

/// An audience as `POST /events` takes it.
pub fn audience(chance: &mut Chance) -> serde_json::Value {
    match chance.below(10) {
        0 => serde_json::json!({"broker": true}),
        1 | 2 => serde_json::json!({"user": chance.of(&USERS)}),
        _ => serde_json::json!({"team": chance.of(&TEAMS)}),
    }
}

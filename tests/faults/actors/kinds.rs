//! Kinds of streams, and who reads them.

use super::people::{TEAMS, USERS, teams_of, user};
use crate::support::Token;

/// What a reader does besides reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    Stays,
    /// Has a token that ends soon, and comes back with another one.
    Renews,
    /// Has a token that ends soon, and gives its open stream another one before.
    Extends,
    /// Somebody revokes its token again and again.
    IsRevoked,
    /// Has a ticket instead of a token.
    HasTicket,
    /// Is away for a while again and again.
    Leaves,
}

/// A kind of stream: its path, who reads it, and what must come.
pub struct Kind {
    pub name: &'static str,
    pub path: &'static str,
    pub token: Token,
    pub audiences: Vec<String>,
    pub types: Option<&'static str>,
    pub record: Option<&'static str>,
    pub habit: Habit,
}

impl Kind {
    fn new(name: &'static str, path: &'static str, token: Token, audiences: Vec<String>) -> Self {
        Self {
            name,
            path,
            token,
            audiences,
            types: None,
            record: None,
            habit: Habit::Stays,
        }
    }

    fn habit(self, habit: Habit) -> Self {
        Self { habit, ..self }
    }

    fn types(self, beginning: &'static str) -> Self {
        let types = Some(beginning);
        Self { types, ..self }
    }

    fn record(self, path: &'static str) -> Self {
        let record = Some(path);
        Self { record, ..self }
    }
}

/// The teams of a user, as audiences.
fn teams(n: usize) -> Vec<String> {
    teams_of(n).map(|team| format!("team:{team}")).to_vec()
}

/// All audiences of a user.
pub fn audiences(n: usize) -> Vec<String> {
    let own = [format!("user:{}", USERS[n]), "broker".to_owned()];
    teams(n).into_iter().chain(own).collect()
}

/// Every kind of stream, each with a reader.
pub fn kinds() -> Vec<Kind> {
    let one = |audience: &str| vec![audience.to_owned()];
    let all = |name, n, path| Kind::new(name, path, user(n), audiences(n));
    let of_teams = |name, n, path| Kind::new(name, path, user(n), teams(n));
    let of_other = Token::user("u2", &["t2", "t3"]).of("c");
    let mut kinds = vec![
        all("everything of u0", 0, "/stream"),
        all("everything of u2", 2, "/stream"),
        all("everything of u3, short tokens", 3, "/stream").habit(Habit::Renews),
        all("everything of u4, often away", 4, "/stream").habit(Habit::Leaves),
        all("everything of u5, with a ticket", 5, "/stream").habit(Habit::HasTicket),
        all("everything of u7, revoked", 7, "/stream").habit(Habit::IsRevoked),
        all("everything of u6, renewed", 6, "/stream").habit(Habit::Extends),
        of_teams("teams of u2, revoked", 2, "/stream/team").habit(Habit::IsRevoked),
        all("test events of u5", 5, "/stream?types=test:*").types("test:"),
        all("in batches", 6, "/stream?batch=100"),
        of_teams("teams of u7", 7, "/stream/team"),
        of_teams("teams of u5, often away", 5, "/stream/team").habit(Habit::Leaves),
        of_teams("without names", 6, "/stream/team?named=false"),
        Kind::new(
            "one team of u7",
            "/stream/team?team=t3",
            user(7),
            one("team:t3"),
        ),
        Kind::new("u6 alone", "/stream/user", user(6), one("user:u6")),
        Kind::new("the brokerage", "/stream/broker", user(2), one("broker")),
        Kind::new("another brokerage", "/stream", of_other, audiences(2)),
    ];
    kinds.extend(of_admin());
    kinds
}

/// The streams of an admin, of records among them.
fn of_admin() -> [Kind; 3] {
    let admin = Token::user("boss", &TEAMS).in_role(porchlight::identity::Role::Admin);
    let own = ["user:boss".to_owned(), "broker".to_owned()];
    let audiences = TEAMS
        .map(|team| format!("team:{team}"))
        .into_iter()
        .chain(own);
    let audiences: Vec<_> = audiences.collect();
    let kind = |name, path| Kind::new(name, path, admin.clone(), audiences.clone());
    let record = "/stream/records/appointments/d-0-1";
    [
        kind("an admin", "/stream"),
        kind("a record of the CRM", record).record("appointments/d-0-1"),
        kind("a record with locks", "/stream?records=escrows/e-0").record("escrows/e-0"),
    ]
}

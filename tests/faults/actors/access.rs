//! How readers prove who they are: with tokens, some of which end soon or are revoked, and with tickets.

use std::sync::{Arc, Mutex};

use porchlight::platform::Clock;
use reqwest::RequestBuilder;
use serde_json::json;
use tokio::task::JoinSet;

use super::kinds::Habit;
use crate::history::Entry;
use crate::http::{Call, Person};
use crate::support::forge::honest;
use crate::support::{Chance, Token};
use crate::world::World;

/// Tokens of those who need new ones again and again.
const SHORT_SECONDS: u64 = 7;
const USUAL_SECONDS: u64 = 3_600;
/// A stream opens within this time, in microseconds.
const OPENING_US: u64 = 4_000_000;
/// The longest time between two revocations, in milliseconds.
const REVOCATIONS_MS: usize = 6_000;

/// The ids of the tokens that somebody may revoke, each with the place of its reader.
#[derive(Clone, Default)]
pub struct Revocable(Arc<Mutex<Vec<String>>>);

impl Revocable {
    fn place(&self) -> usize {
        let mut tokens = self.0.lock().expect("tokens");
        tokens.push(String::new());
        tokens.len() - 1
    }

    fn set(&self, place: usize, id: &str) {
        id.clone_into(&mut self.0.lock().expect("tokens")[place]);
    }

    fn any(&self, chance: &mut Chance) -> Option<String> {
        let tokens = self.0.lock().expect("tokens");
        let id = tokens.get(chance.below(tokens.len().max(1)))?;
        (!id.is_empty()).then(|| id.clone())
    }
}

/// Revokes the tokens of readers, one after the other.
pub fn start(
    world: &Arc<World>,
    chance: &mut Chance,
    revocable: Revocable,
    actors: &mut JoinSet<()>,
) {
    let admin = Token::user("boss", &[]).in_role(porchlight::identity::Role::Admin);
    let mut person = Person::new(world, chance, &admin);
    actors.spawn(async move {
        let world = Arc::clone(&person.world);
        while world.is_busy() {
            person.rest(REVOCATIONS_MS).await;
            let Some(token) = revocable.any(&mut person.chance) else {
                continue;
            };
            world.note(Entry::RevocationAsked {
                token: token.clone(),
            });
            let call = Call::post("/sessions/revoke", json!({"tokenId": token}));
            if person.insist(&call, &[200]).await.is_some() {
                world.note(Entry::Revoked { token });
            }
        }
    });
}

/// A ticket, and whether it has opened a stream.
struct Ticket {
    text: String,
    is_used: bool,
}

/// What one reader opens streams with.
pub struct Access {
    world: Arc<World>,
    chance: Chance,
    reader: String,
    token: Token,
    habit: Habit,
    /// The token that it has at the moment, and when that ends.
    signed: String,
    pub expires: u64,
    /// The id of the token, where somebody may revoke it.
    pub id: Option<String>,
    revocable: Option<(Revocable, usize)>,
    ticket: Option<Ticket>,
    /// The stream that is open.
    pub stream: String,
}

impl Access {
    pub fn new(world: &Arc<World>, chance: &mut Chance, reader: &str, token: Token) -> Self {
        Self {
            world: Arc::clone(world),
            chance: chance.fork(),
            reader: reader.to_owned(),
            token,
            habit: Habit::Stays,
            signed: String::new(),
            expires: 0,
            id: None,
            revocable: None,
            ticket: None,
            stream: String::new(),
        }
    }

    /// The same with a habit.
    pub fn with(mut self, habit: Habit, revocable: &Revocable) -> Self {
        if habit == Habit::IsRevoked {
            self.revocable = Some((revocable.clone(), revocable.place()));
        }
        self.habit = habit;
        self
    }

    /// Adds a token or a ticket; `None` where there is no ticket yet.
    pub async fn carry(&mut self, request: RequestBuilder) -> Option<RequestBuilder> {
        let ends_soon = self.expires < self.world.history.now() + OPENING_US;
        if self.habit == Habit::Renews || self.signed.is_empty() || ends_soon {
            self.sign();
        }
        if self.habit == Habit::HasTicket {
            let ticket = self.ticket().await?;
            return Some(request.query(&[("ticket", ticket)]));
        }
        Some(request.bearer_auth(&self.signed))
    }

    /// A new token. Its end is known to a second.
    fn sign(&mut self) {
        let seconds = match self.habit {
            Habit::Renews | Habit::Extends => SHORT_SECONDS,
            _ => USUAL_SECONDS,
        };
        self.expires = self.world.history.now() + seconds * 1_000_000;
        let Some((revocable, place)) = &self.revocable else {
            self.signed = self.token.clone().lasting(seconds).signed();
            return;
        };
        let id = format!("t-{}", self.world.number());
        let now = Clock::system().now().unix_timestamp();
        self.signed = honest(&json!({
            "sub": self.token.user, "broker_id": self.token.broker, "teams": self.token.teams,
            "iat": now, "jti": id,
        }));
        revocable.set(*place, &id);
        self.id = Some(id);
    }

    async fn ticket(&mut self) -> Option<String> {
        // One that has not opened a stream may be too old for its first use.
        if let Some(ticket) = self.ticket.as_ref().filter(|ticket| ticket.is_used) {
            return Some(ticket.text.clone());
        }
        let signed = self.signed.clone();
        let mut person = Person::bearing(&self.world, &mut self.chance, signed);
        let reply = person
            .ask(&Call::post("/sessions/ticket", json!({})))
            .await?;
        let text = reply.body["ticket"].as_str()?.to_owned();
        self.ticket = Some(Ticket {
            text: text.clone(),
            is_used: false,
        });
        Some(text)
    }

    /// A stream has begun.
    pub fn begun(&mut self, stream: &str) {
        stream.clone_into(&mut self.stream);
        if let Some(ticket) = &mut self.ticket {
            ticket.is_used = true;
        }
    }

    /// A stream was not opened, or it has ended for good: the next one needs another token.
    pub fn refused(&mut self) {
        self.signed.clear();
        self.ticket = None;
    }

    /// The token ends soon: gives the open stream a fresh one, with which it comes back as well.
    pub fn extend(&mut self) {
        if self.habit != Habit::Extends {
            return;
        }
        self.sign();
        let signed = self.signed.clone();
        let mut person = Person::bearing(&self.world, &mut self.chance, signed);
        let (reader, expires) = (self.reader.clone(), self.expires);
        let body = json!({"stream": self.stream});
        tokio::spawn(async move {
            let reply = person.ask(&Call::post("/sessions/renew", body)).await;
            if reply.is_some_and(|reply| reply.status == 200) {
                person.world.note(Entry::Renewed { reader, expires });
            }
        });
    }
}

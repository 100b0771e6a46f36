//! Tickets stand for a token in the address of a stream, which proxies and histories may keep.
//!
//! A ticket opens streams and nothing else, for the page that asked for it. It must be used within a
//! minute. Then it is good for reconnects until its token ends or is revoked.

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::Sessions;
use crate::directory::Member;
use crate::identity::{Bearer, Caller, Credential, KeyId, TokenError, random_hex};
use crate::platform::TeamId;
use crate::platform::{BrokerId, UserId};

/// A ticket must be used within this time.
pub const TICKET_SECONDS: i64 = 60;
/// The newest tickets of a user that count.
const MOST_PER_USER: i64 = 64;
/// Tickets that an instance knows. When there are more, all of them are forgotten.
const MOST_KNOWN: usize = 16_384;
/// After this time, a known ticket is read again.
const KNOWN_FOR: Duration = Duration::minutes(1);
const TICKET_BYTES: usize = 32;

/// The caller of a request for a ticket.
#[derive(Debug)]
pub struct TicketHolder<'a> {
    pub caller: &'a Caller,
    /// The user whose brokerage was looked up, because the token does not name it.
    pub member: Option<&'a Member>,
    /// The origin of the page that asks.
    pub origin: Option<&'a str>,
}

#[derive(Debug)]
pub struct NewTicket {
    pub ticket: String,
    pub use_before: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

/// A request with a ticket.
#[derive(Clone, Debug)]
pub struct TicketUse {
    pub ticket: String,
    /// The origin of the page that opens the stream, if the browser sends one.
    pub origin: Option<String>,
    /// The host that the request is for. Pages of the same host send no origin with a GET.
    pub host: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    #[error(
        "the ticket is not known, was not used within {TICKET_SECONDS} seconds, has ended, belongs to \
         another page, or is for a brokerage that its user has left; get a new one from POST /sessions/ticket"
    )]
    Invalid,
    #[error(
        "this address has sent too many tickets that are not known; this one was not looked up: try again"
    )]
    NotLookedUp,
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

type TicketHash = [u8; 32];

/// What a ticket stands for.
#[derive(Clone, Debug)]
struct Ticket {
    bearer: Bearer,
    broker: BrokerId,
    looked_up: bool,
    origin: Option<Arc<str>>,
}

/// A caller with a ticket.
#[derive(Debug)]
pub struct TicketCaller {
    pub caller: Caller,
    /// Whether the brokerage was looked up, because the token does not name it.
    pub looked_up: bool,
    /// The first team of the token.
    pub first_team: Option<TeamId>,
}

#[derive(Debug)]
struct KnownTicket {
    ticket: Ticket,
    read_at: OffsetDateTime,
}

/// Tickets that were used at this instance, so that reconnects cost no query.
#[derive(Debug, Default)]
pub(super) struct KnownTickets(Mutex<FxHashMap<TicketHash, KnownTicket>>);

impl KnownTickets {
    fn find(&self, hash: &TicketHash, now: OffsetDateTime) -> Option<Ticket> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(hash)?;
        let is_fresh = known.read_at <= now && now - known.read_at < KNOWN_FOR;
        is_fresh.then(|| known.ticket.clone())
    }

    fn insert(&self, hash: TicketHash, ticket: Ticket, read_at: OffsetDateTime) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(hash, KnownTicket { ticket, read_at });
    }
}

impl Sessions {
    /// A new ticket for the caller.
    pub async fn ticket(&self, holder: &TicketHolder<'_>) -> Result<NewTicket, TicketError> {
        let parts = &self.0.parts;
        let ticket = random_hex(TICKET_BYTES).map_err(sqlx::Error::Io)?;
        let now = parts.clock.now();
        let expires_at = holder.caller.expires_at;
        let new = NewTicket {
            use_before: expires_at.min(now + Duration::seconds(TICKET_SECONDS)),
            ticket,
            expires_at,
        };
        let key = holder.caller.credential.key.as_ref();
        let key = key.and_then(|key| parts.verifier.key_for_ticket(key, &new.ticket));
        let mut connection = parts.pool.acquire().await?;
        insert(&mut connection, holder, &new, key.as_deref(), now).await?;
        remove_oldest(&mut connection, holder.caller).await?;
        Ok(new)
    }

    /// The caller with a ticket. The first use must come in time. A ticket that this instance does not know is
    /// not looked up unless it `may_look_up`.
    pub async fn use_ticket(
        &self,
        used: &TicketUse,
        may_look_up: bool,
    ) -> Result<TicketCaller, TicketError> {
        let (now, hash) = (self.0.parts.clock.now(), hash(&used.ticket));
        let known = self.0.known_tickets.find(&hash, now);
        let ticket = match known {
            Some(ticket) => ticket,
            None if !is_ticket(&used.ticket) => return Err(TicketError::Invalid),
            None if !may_look_up => return Err(TicketError::NotLookedUp),
            None => self.read_ticket(&used.ticket, now).await?,
        };
        if ticket.bearer.expires_at <= now {
            return Err(TokenError::Expired.into());
        }
        if !is_same_page(ticket.origin.as_deref(), used) {
            return Err(TicketError::Invalid);
        }
        let Ticket {
            bearer,
            broker,
            looked_up,
            ..
        } = ticket;
        let verifier = &self.0.parts.verifier;
        if !verifier.has_key(&bearer.credential) {
            return Err(TokenError::KeyUnknown.into());
        }
        let first_team = bearer.teams.first().cloned();
        let caller = verifier.caller(bearer, broker)?;
        Ok(TicketCaller {
            caller,
            looked_up,
            first_team,
        })
    }

    async fn read_ticket(&self, ticket: &str, now: OffsetDateTime) -> Result<Ticket, TicketError> {
        let hash = hash(ticket);
        let mut connection = self.0.parts.pool.acquire().await?;
        let row = take(&mut connection, &hash, now).await?;
        drop(connection);
        let row = row.ok_or(TicketError::Invalid)?;
        // Earlier versions did not store every key.
        let stored = row.key_id.as_deref().ok_or(TicketError::Invalid)?;
        let key = self.0.parts.verifier.key_of_ticket(stored, ticket);
        let key = key.ok_or(TokenError::KeyUnknown)?;
        let ticket = row.parse(key).ok_or(TicketError::Invalid)?;
        self.0.known_tickets.insert(hash, ticket.clone(), now);
        Ok(ticket)
    }
}

/// Whether a text has the form of a ticket.
fn is_ticket(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 2 * TICKET_BYTES && text.bytes().all(is_digit)
}

fn hash(ticket: &str) -> TicketHash {
    Sha256::digest(ticket).into()
}

/// Whether a request comes from the page that asked for the ticket. A browser sends no origin with a
/// GET to the page's own host.
fn is_same_page(origin: Option<&str>, used: &TicketUse) -> bool {
    let Some(origin) = origin else { return true };
    match &used.origin {
        Some(other) => origin.eq_ignore_ascii_case(other),
        None => origin.split_once("://").map(|(_, host)| host) == used.host.as_deref(),
    }
}

/// The teams of the token. A ticket is looked up by the first of them, as the token is, so that one is there although
/// it was revoked. Each use of the ticket asks for revocations.
fn teams_of<'a>(holder: &TicketHolder<'a>) -> Vec<&'a str> {
    let teams = &holder.caller.teams;
    let first = holder.member.and_then(|member| member.team.as_ref());
    let first = first.filter(|first| !teams.contains(first));
    let all = first.into_iter().chain(teams.iter());
    all.map(TeamId::as_str).collect()
}

async fn insert(
    connection: &mut PgConnection,
    holder: &TicketHolder<'_>,
    new: &NewTicket,
    key: Option<&str>,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let caller = holder.caller;
    let teams = teams_of(holder);
    let (credential, hash) = (&caller.credential, hash(&new.ticket));
    sqlx::query!(
        "insert into porchlight.tickets (hash, broker_id, user_id, role, teams, name, token_id,
             issued_at, key_id, looked_up, origin, created_at, use_before, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        hash.as_slice(),
        caller.broker.as_str(),
        caller.user.as_str(),
        caller.role.as_str(),
        &teams as &[&str],
        credential.name.as_deref(),
        credential.token_id.as_deref(),
        credential.issued_at,
        key,
        holder.member.is_some(),
        holder.origin,
        now,
        new.use_before,
        new.expires_at,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Removes all but the newest tickets of a user.
async fn remove_oldest(connection: &mut PgConnection, caller: &Caller) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from porchlight.tickets where broker_id = $1 and hash in (
             select hash from porchlight.tickets where broker_id = $1 and user_id = $2
             order by created_at desc offset $3)",
        caller.broker.as_str(),
        caller.user.as_str(),
        MOST_PER_USER,
    )
    .execute(connection)
    .await
    .map(drop)
}

struct TicketRow {
    broker_id: String,
    user_id: String,
    role: String,
    teams: Vec<String>,
    name: Option<String>,
    token_id: Option<String>,
    issued_at: Option<OffsetDateTime>,
    key_id: Option<String>,
    looked_up: bool,
    origin: Option<String>,
    expires_at: OffsetDateTime,
}

impl TicketRow {
    fn parse(self, key: KeyId) -> Option<Ticket> {
        let broker = BrokerId::parse(&self.broker_id).ok()?;
        let teams = self.teams.iter().filter_map(|team| team.parse().ok());
        let bearer = Bearer {
            user: UserId::parse(&self.user_id).ok()?,
            broker: Some(broker.clone()),
            teams: teams.collect::<Vec<TeamId>>().into(),
            role: self.role.parse().ok()?,
            expires_at: self.expires_at,
            credential: Arc::new(Credential {
                token_id: self.token_id.map(Into::into),
                issued_at: self.issued_at,
                // It was noted when the token was verified.
                names_teams: false,
                key: Some(key),
                name: self.name.map(Into::into),
            }),
        };
        Some(Ticket {
            bearer,
            broker,
            looked_up: self.looked_up,
            origin: self.origin.map(Into::into),
        })
    }
}

/// A ticket that counts now. Its first use is noted.
async fn take(
    connection: &mut PgConnection,
    hash: &TicketHash,
    now: OffsetDateTime,
) -> sqlx::Result<Option<TicketRow>> {
    sqlx::query_as!(
        TicketRow,
        "update porchlight.tickets set used_at = coalesce(used_at, $2)
         where hash = $1 and (used_at is not null or use_before > $2) and expires_at > $2
         returning broker_id, user_id, role, teams, name, token_id, issued_at, key_id, looked_up,
             origin, expires_at",
        hash.as_slice(),
        now,
    )
    .fetch_optional(connection)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ticket_is_known_by_its_form() {
        assert!(is_ticket(&random_hex(TICKET_BYTES).expect("randomness")));
        for text in ["", "ab", &"g".repeat(64), &"A".repeat(64), &"a".repeat(65)] {
            assert!(!is_ticket(text), "{text}");
        }
    }

    #[test]
    fn a_ticket_counts_for_the_page_that_asked_for_it() {
        let used = |origin: Option<&str>, host: &str| TicketUse {
            ticket: String::new(),
            origin: origin.map(str::to_owned),
            host: Some(host.to_owned()),
        };
        let crm = Some("https://crm.example");
        for (bound, request, expected) in [
            (None, used(None, "api.example"), true),
            (None, used(crm, "api.example"), true),
            (crm, used(crm, "api.example"), true),
            (crm, used(Some("https://CRM.example"), "api.example"), true),
            (
                crm,
                used(Some("https://evil.example"), "api.example"),
                false,
            ),
            (crm, used(None, "api.example"), false),
            // A page of the service's own host.
            (crm, used(None, "crm.example"), true),
            (
                crm,
                used(Some("https://evil.example"), "crm.example"),
                false,
            ),
        ] {
            assert_eq!(
                is_same_page(bound, &request),
                expected,
                "{bound:?} {request:?}"
            );
        }
    }
}

//! `/demo`: one click signs in as one of the people of the example brokerage. Only in a demo.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use super::body::PublicJson;
use super::problem::{Code, Problem};
use super::query::NoQuery;
use crate::identity::{IdentitySettings, MintRequest, Role, TokenSigner};
use crate::log::timestamp;
use crate::platform::{Clock, TeamId, UserId};
use crate::records::{Brokerage, SeedPerson};

/// How long a token of the demo lasts. Pages ask for another one before.
const TOKEN_LIFETIME: Duration = Duration::from_mins(15);

/// Makes tokens for the people of the example.
#[derive(Debug)]
pub struct DemoSignIn {
    brokerage: Brokerage,
    signer: TokenSigner,
    clock: Clock,
}

impl DemoSignIn {
    /// None if this service verifies tokens by public keys only: it cannot make any then.
    #[must_use]
    pub fn new(brokerage: Brokerage, identity: &IdentitySettings, clock: Clock) -> Option<Self> {
        Some(Self {
            brokerage,
            signer: TokenSigner::new(identity)?,
            clock,
        })
    }

    fn person(&self, user: &UserId) -> Option<&SeedPerson> {
        self.brokerage
            .people
            .iter()
            .find(|person| person.user == *user)
    }

    fn token(&self, person: &SeedPerson, role: Role) -> DemoToken {
        let now = self.clock.now();
        let lifetime = TOKEN_LIFETIME.min(self.signer.longest());
        let request = MintRequest {
            user: person.user.clone(),
            broker: self.brokerage.broker.clone(),
            teams: person.teams.clone(),
            role,
            ttl: lifetime,
            now,
            name: Some(person.name.clone()),
            token_id: None,
        };
        DemoToken {
            token: self.signer.sign(&request),
            expires_at: timestamp(now + lifetime),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DemoToken {
    token: String,
    expires_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DemoPerson<'a> {
    user_id: &'a str,
    name: &'a str,
    role: &'static str,
    teams: Vec<&'a str>,
}

/// `GET /demo`: the people that a visitor may sign in as; none unless this is a demo.
pub(super) async fn people(context: Context, _: NoQuery) -> HttpResponse {
    let demo = context.services.demo.iter();
    let people = demo
        .flat_map(|demo| &demo.brokerage.people)
        .map(|person| DemoPerson {
            user_id: person.user.as_str(),
            name: &person.name,
            role: person.role.as_str(),
            teams: person.teams.iter().map(TeamId::as_str).collect(),
        });
    let people: Vec<_> = people.collect();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({"people": people}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInBody {
    user: UserId,
    role: Option<OtherRole>,
}

/// A role that no person of the example has.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OtherRole {
    /// Of the CRM's back end, which publishes events.
    Service,
}

impl From<OtherRole> for Role {
    fn from(OtherRole::Service: OtherRole) -> Self {
        Self::Service
    }
}

/// Refuses a request unless this is a demo. Then its body is not read: it stands before the body.
pub(super) struct OnlyInDemo;

impl FromRequest for OnlyInDemo {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let context = Context::of(request);
        let demo = context.map(|context| context.services.demo.is_some());
        ready(demo.and_then(|is_demo| is_demo.then_some(Self).ok_or_else(nobody)))
    }
}

/// `POST /demo`: a token of one of these people.
pub(super) async fn sign_in(
    context: Context,
    _: NoQuery,
    _: OnlyInDemo,
    PublicJson(body): PublicJson<SignInBody>,
) -> Result<HttpResponse, Problem> {
    let demo = context.services.demo.as_ref();
    let token = demo.and_then(|demo| {
        let person = demo.person(&body.user)?;
        Some(demo.token(person, body.role.map_or(person.role, Role::from)))
    });
    let token = token.ok_or_else(nobody)?;
    Ok(HttpResponse::build(StatusCode::CREATED)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(token))
}

fn nobody() -> Problem {
    let detail = "The example has no such person. GET /demo lists its people: none, unless the service runs \
                  with --demo and a secret that signs tokens.";
    Problem::new(StatusCode::NOT_FOUND, Code::NotFound, detail)
}

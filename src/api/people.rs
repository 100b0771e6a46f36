//! `GET /people`: the names of users.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use super::problem::Problem;
use super::query::Query;
use crate::directory::people;
use crate::identity::Caller;
use crate::platform::UserId;

/// Users of a request.
const USERS_MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeopleQuery {
    users: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PersonJson {
    user_id: UserId,
    name: String,
}

/// The users of the caller's brokerage whose names are known.
pub(super) async fn list(
    caller: Caller,
    context: Context,
    Query(query): Query<PeopleQuery>,
) -> Result<HttpResponse, Problem> {
    let users = query.users.unwrap_or_default();
    let users: Result<Vec<UserId>, _> = match users.as_str() {
        "" => Ok(Vec::new()),
        lines => lines.split('\n').map(str::parse).collect(),
    };
    let users = users.map_err(|error| Problem::bad_parameter("users", error))?;
    if users.len() > USERS_MOST {
        let reason = format!("must be at most {USERS_MOST} users");
        return Err(Problem::bad_parameter("users", reason));
    }
    let failed = |error| Problem::database(&error);
    let mut connection = context.services.pool.acquire().await.map_err(failed)?;
    let names = people::names(&mut connection, &caller.broker, &users);
    let names = names.await.map_err(failed)?.into_iter();
    let people: Vec<_> = names
        .map(|(user_id, name)| PersonJson { user_id, name })
        .collect();
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({"people": people})))
}

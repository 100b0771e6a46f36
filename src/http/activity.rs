//! `GET /activity`: what people did, in words.

use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};

use super::get_events::number;
use super::problem::Problem;
use super::{Service, query};
use crate::activity::{ActivityError, Asked, Item};
use crate::history::HistoryError;
use crate::identity::Caller;
use crate::ids::{ModuleName, RecordId, UserId};
use crate::stream::ResetReason;

/// Acts of one answer.
const LIMIT_DEFAULT: i64 = 20;
const LIMIT_MOST: i64 = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ActivityQuery {
    limit: Option<String>,
    cursor: Option<String>,
    module: Option<String>,
    record_id: Option<String>,
    user: Option<String>,
}

/// Written as it is: JSON that was told to the letter need not be a value to others.
#[derive(Serialize)]
struct ActivityPage<'a> {
    activity: &'a [Item],
    next: Option<String>,
}

/// A page of what was done.
pub async fn list(
    request: HttpRequest,
    caller: Caller,
    service: Service,
) -> Result<HttpResponse, Problem> {
    let asked = service.asked(&query::parse(&request)?)?;
    let listed = service.app.activity.list(&caller, &asked).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    response.insert_header(("Cache-Control", "no-store"));
    let next = listed.next.map(|next| next.to_string());
    Ok(response.json(ActivityPage {
        activity: &listed.items,
        next,
    }))
}

impl Service {
    fn asked(&self, query: &ActivityQuery) -> Result<Asked, Problem> {
        let limit = number("limit", query.limit.as_deref(), 1..=LIMIT_MOST)?;
        let module: Option<ModuleName> = parsed("module", query.module.as_deref())?;
        let record: Option<RecordId> = parsed("recordId", query.record_id.as_deref())?;
        let user: Option<UserId> = parsed("user", query.user.as_deref())?;
        if let Some(module) = &module {
            self.module(module, "module")?;
        } else if record.is_some() {
            return Err(Problem::bad_parameter("recordId", "needs module"));
        }
        Ok(Asked {
            before: parsed("cursor", query.cursor.as_deref())?,
            module,
            record,
            user,
            limit: limit.unwrap_or(LIMIT_DEFAULT),
        })
    }
}

fn parsed<T>(field: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error| Problem::bad_parameter(field, error))
}

impl From<ActivityError> for Problem {
    fn from(error: ActivityError) -> Self {
        match error {
            ActivityError::UnknownPlace(position) => {
                HistoryError::Reset(ResetReason::Unknown, position).into()
            }
            ActivityError::Database(error) => Self::database(&error),
        }
    }
}

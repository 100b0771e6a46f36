//! `GET /activity`: what people did, in words.

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::get_events::number;
use super::page::Page;
use super::problem::Problem;
use super::{Context, query};
use crate::identity::Caller;
use crate::inbox::{ActivityError, Asked};
use crate::platform::{ModuleName, RecordId, UserId};
use crate::stream::HistoryError;
use crate::stream::ResetReason;

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ActivityQuery {
    limit: Option<String>,
    cursor: Option<String>,
    module: Option<String>,
    record_id: Option<String>,
    user: Option<String>,
}

/// A page of what was done.
pub async fn list(
    request: HttpRequest,
    caller: Caller,
    context: Context,
) -> Result<HttpResponse, Problem> {
    let asked = context.asked(&query::parse(&request)?)?;
    let listed = context.services.activity.list(&caller, &asked).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "activity",
        items: &listed.items,
        fields: json!({"next": listed.next.map(|next| next.to_string())}),
    };
    Ok(page.answer(response))
}

impl Context {
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
            limit: self.page_limit(limit.unwrap_or(LIMIT_DEFAULT)),
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

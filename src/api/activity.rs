//! `GET /activity`: what people did, as sentences.

use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::json;

use super::Context;
use super::page::Page;
use super::problem::Problem;
use super::query::{Query, number, parsed};
use crate::identity::Caller;
use crate::inbox::{ActivityError, ActivityListQuery};
use crate::platform::{ModuleName, RecordId};
use crate::stream::HistoryError;
use crate::stream::ResetReason;

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ActivityQuery {
    limit: Option<String>,
    cursor: Option<String>,
    module: Option<String>,
    record_id: Option<String>,
    user: Option<String>,
}

pub(super) async fn list(
    caller: Caller,
    context: Context,
    Query(query): Query<ActivityQuery>,
) -> Result<HttpResponse, Problem> {
    let query = context.activity_list_query(&query)?;
    let activity = &context.services.inbox.activity;
    let listed = activity.list(&caller, &query).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "activity",
        items: &listed.items,
        fields: json!({"next": listed.next.map(|next| next.to_string())}),
    };
    Ok(page.respond(response))
}

impl Context {
    fn activity_list_query(&self, query: &ActivityQuery) -> Result<ActivityListQuery, Problem> {
        let limit = number("limit", query.limit.as_deref(), 1..=LIMIT_MOST)?;
        let module: Option<ModuleName> = parsed("module", query.module.as_deref())?;
        let record: Option<RecordId> = parsed("recordId", query.record_id.as_deref())?;
        let user = parsed("user", query.user.as_deref())?;
        if let Some(module) = &module {
            self.module(module, "module")?;
        } else if record.is_some() {
            return Err(Problem::bad_parameter("recordId", "needs module"));
        }
        Ok(ActivityListQuery {
            before: parsed("cursor", query.cursor.as_deref())?,
            module,
            record,
            user,
            limit: self.page_limit(limit.unwrap_or(LIMIT_DEFAULT)),
        })
    }
}

impl From<ActivityError> for Problem {
    fn from(error: ActivityError) -> Self {
        match error {
            ActivityError::UnknownPosition(position) => {
                HistoryError::Reset(ResetReason::Unknown, position).into()
            }
            ActivityError::Database(error) => Self::database(&error),
        }
    }
}

//! `/tasks` for users: create, look up, list, cancel and retry tasks.

use actix_web::HttpResponse;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Context;
use super::body::{self, JsonBytes, Object, OptionalJson};
use super::caller_rules::TaskCreator;
use super::idempotency::{self, KEY_CHARS, KeyHeader};
use super::page::Page;
use super::problem::{Code, Problem};
use super::query::{NoFields, NoQuery, Query, number, parsed};
use crate::identity::Caller;
use crate::log::Operation;
use crate::log::{DEEPEST, depth, on_one_line};
use crate::platform::{TaskId, TaskType, TeamId};
use crate::tasks::imports;
use crate::tasks::{MOST_CHILDREN, NewTask, TaskListQuery, TaskRequest, Title};

/// The default and the maximum of `maxAttempts`. An import continues where its last attempt ended, so
/// its default is the maximum.
const USUAL_ATTEMPTS: i32 = 3;
const MOST_ATTEMPTS: i32 = 10;
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MOST: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct OrderBody {
    r#type: TaskType,
    title: Option<Title>,
    params: Option<Box<RawValue>>,
    max_attempts: Option<i32>,
    team: Option<TeamId>,
    parent: Option<TaskId>,
    children: Option<Vec<Object<ChildBody>>>,
    idempotency_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ChildBody {
    r#type: TaskType,
    title: Option<Title>,
    params: Option<Box<RawValue>>,
    max_attempts: Option<i32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TasksQuery {
    state: Option<String>,
    r#type: Option<String>,
    parent: Option<String>,
    user: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

pub(super) async fn create(
    TaskCreator { caller, .. }: TaskCreator,
    context: Context,
    _: NoQuery,
    header: KeyHeader,
    JsonBytes(bytes): JsonBytes,
) -> Result<HttpResponse, Problem> {
    let mut body: OrderBody = body::parse(&bytes)?;
    let key = key(header, body.idempotency_key.take())?;
    let order = TaskRequest {
        key: key.key(&caller, Operation::CreateTask, &bytes),
        ..order(body)?
    };
    let created = context.services.tasks.create(&caller, order).await?;
    let mut response = if created.is_repeat {
        HttpResponse::Ok()
    } else {
        HttpResponse::Created()
    };
    idempotency::mark(&mut response, created.is_repeat);
    Ok(response.json(created.answer))
}

/// Lists the caller's tasks, from new to old.
pub(super) async fn list(
    caller: Caller,
    context: Context,
    Query(query): Query<TasksQuery>,
) -> Result<HttpResponse, Problem> {
    let query = context.task_list_query(&query)?;
    let listed = context.services.tasks.list(&caller, &query).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "tasks",
        items: &listed.tasks,
        fields: json!({"next": listed.next.map(|next| next.to_string())}),
    };
    Ok(page.respond(response))
}

pub(super) async fn find(
    caller: Caller,
    context: Context,
    id: TaskId,
    _: NoQuery,
) -> Result<HttpResponse, Problem> {
    let found = context.services.tasks.find(&caller, &id).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", found.position.to_string()));
    response.insert_header(("Cache-Control", "no-store"));
    Ok(response.json(found.task))
}

pub(super) async fn cancel(
    caller: Caller,
    context: Context,
    id: TaskId,
    _: NoQuery,
    key: KeyHeader,
    _: OptionalJson<NoFields>,
) -> Result<HttpResponse, Problem> {
    let key = key.key_for(&caller, Operation::CancelTask, &id, &[]);
    let tasks = &context.services.tasks;
    let cancelled = tasks.cancel(&caller, &id, key.as_ref()).await?;
    let mut response = HttpResponse::Ok();
    idempotency::mark(&mut response, cancelled.is_repeat);
    Ok(response.json(cancelled.answer))
}

pub(super) async fn retry(
    caller: Caller,
    context: Context,
    id: TaskId,
    _: NoQuery,
    key: KeyHeader,
    _: OptionalJson<NoFields>,
) -> Result<HttpResponse, Problem> {
    let key = key.key_for(&caller, Operation::RetryTask, &id, &[]);
    let tasks = &context.services.tasks;
    let retried = tasks.retry(&caller, &id, key.as_ref()).await?;
    let mut response = HttpResponse::Created();
    idempotency::mark(&mut response, retried.is_repeat);
    Ok(response.json(retried.answer))
}

fn order(body: OrderBody) -> Result<TaskRequest, Problem> {
    if body.parent.is_some() && body.children.is_some() {
        let detail = "A step of a workflow has no children itself.";
        return Err(Problem::bad_request(Code::ParentIsChild, detail).at("children"));
    }
    let children = body.children.map(children).transpose()?.unwrap_or_default();
    let task = ChildBody {
        r#type: body.r#type,
        title: body.title,
        params: body.params,
        max_attempts: body.max_attempts,
    };
    Ok(TaskRequest {
        task: new_task(task, str::to_owned)?,
        team: body.team,
        parent: body.parent,
        children,
        key: None,
    })
}

fn children(children: Vec<Object<ChildBody>>) -> Result<Vec<NewTask>, Problem> {
    if !(1..=MOST_CHILDREN).contains(&children.len()) {
        let detail = format!("A workflow begins with 1 to {MOST_CHILDREN} steps.");
        return Err(Problem::bad_request(Code::InvalidBody, detail).at("children"));
    }
    let step = |(n, Object(child))| new_task(child, |field| format!("children[{n}].{field}"));
    children.into_iter().enumerate().map(step).collect()
}

fn new_task(body: ChildBody, at: impl Fn(&str) -> String) -> Result<NewTask, Problem> {
    let usual = match body.r#type.as_str() {
        imports::TASK_TYPE => MOST_ATTEMPTS,
        _ => USUAL_ATTEMPTS,
    };
    let max_attempts = body.max_attempts.unwrap_or(usual);
    if !(1..=MOST_ATTEMPTS).contains(&max_attempts) {
        let detail = format!("maxAttempts is 1 to {MOST_ATTEMPTS}.");
        return Err(Problem::bad_request(Code::InvalidBody, detail).at(at("maxAttempts")));
    }
    let params = match body.params {
        Some(params) => storable_json(&params, &at("params"))?,
        None => RawValue::from_string("{}".to_owned()).unwrap_or_default(),
    };
    Ok(NewTask {
        task_type: body.r#type,
        title: body.title,
        params,
        max_attempts,
    })
}

/// JSON that can be stored and published: on one line, and not too deep.
pub(super) fn storable_json(raw: &RawValue, field: &str) -> Result<Box<RawValue>, Problem> {
    if depth(raw) > DEEPEST {
        let detail = format!("{field} is nested more than {DEEPEST} deep.");
        return Err(Problem::bad_request(Code::InvalidBody, detail).at(field));
    }
    Ok(on_one_line(raw.to_owned()))
}

/// The key in the header or in the body.
fn key(KeyHeader(header): KeyHeader, body: Option<String>) -> Result<KeyHeader, Problem> {
    if let Some(key) = &body {
        let is_plain = key.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if !is_plain || !(1..=KEY_CHARS).contains(&key.len()) {
            let detail =
                format!("idempotencyKey has 1 to {KEY_CHARS} characters of visible ASCII.");
            return Err(Problem::bad_request(Code::InvalidBody, detail).at("idempotencyKey"));
        }
    }
    match (header, body) {
        (Some(header), Some(body)) if header != body => {
            let detail = "The header Idempotency-Key and idempotencyKey differ. Give one of them.";
            Err(Problem::bad_request(Code::InvalidBody, detail).at("idempotencyKey"))
        }
        (header, body) => Ok(KeyHeader(header.or(body))),
    }
}

impl Context {
    fn task_list_query(&self, query: &TasksQuery) -> Result<TaskListQuery, Problem> {
        let limit = number("limit", query.limit.as_deref(), 1..=LIMIT_MOST)?;
        Ok(TaskListQuery {
            state: parsed("state", query.state.as_deref())?,
            task_type: parsed("type", query.r#type.as_deref())?,
            parent: parsed("parent", query.parent.as_deref())?,
            user: parsed("user", query.user.as_deref())?,
            before: parsed("cursor", query.cursor.as_deref())?,
            limit: self.page_limit(limit.unwrap_or(LIMIT_DEFAULT)),
        })
    }
}

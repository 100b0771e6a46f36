//! `/tasks`, as users see them: ask for work, look at it, end it, do it again.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::body::Object;
use super::get_events::number;
use super::idempotency::KEY_CHARS;
use super::page::Page;
use super::problem::{Code, Problem};
use super::{Context, body, idempotency, query};
use crate::identity::{Caller, Role};
use crate::log::{DEEPEST, depth, on_one_line};
use crate::platform::{TaskId, TaskType, TeamId};
use crate::tasks::imports;
use crate::tasks::{MOST_CHILDREN, NewTask, Order, TaskKey, TaskListQuery, Title};

/// Attempts that a task has unless its creator says otherwise, and how many those may be. An
/// import goes on where the attempt before has ended, and so has as many as there are.
const USUAL_ATTEMPTS: i32 = 3;
const MOST_ATTEMPTS: i32 = 10;
const LIMIT_DEFAULT: usize = 50;
const LIMIT_MOST: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OrderBody {
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

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    state: Option<String>,
    r#type: Option<String>,
    parent: Option<String>,
    user: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

pub async fn create(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    if caller.role == Role::Worker {
        let detail = "Workers carry out tasks; others ask for them.";
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            Code::RoleNeeded,
            detail,
        ));
    }
    let Empty {} = query::parse(&request)?;
    let header = idempotency::name(&request)?;
    let body = body::read(&request, payload, context.services.limits.body_bytes).await?;
    let order = order(body::parse(&body)?, header, &body)?;
    let created = context.services.tasks.create(&caller, order).await?;
    let mut response = if created.is_repeat {
        HttpResponse::Ok()
    } else {
        HttpResponse::Created()
    };
    if created.is_repeat {
        response.insert_header(("Idempotency-Replayed", "true"));
    }
    Ok(response.json(created.task))
}

/// A page of the caller's tasks, from new to old.
pub async fn list(
    request: HttpRequest,
    caller: Caller,
    context: Context,
) -> Result<HttpResponse, Problem> {
    let question = context.tasks_question(&query::parse(&request)?)?;
    let listed = context.services.tasks.list(&caller, &question).await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", listed.position.to_string()));
    let page = Page {
        name: "tasks",
        items: &listed.tasks,
        fields: json!({"next": listed.next.map(|next| next.to_string())}),
    };
    Ok(page.answer(response))
}

pub async fn find(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let Empty {} = query::parse(&request)?;
    let found = context
        .services
        .tasks
        .find(&caller, &task_id(&path)?)
        .await?;
    let mut response = HttpResponse::Ok();
    response.insert_header(("Stream-Position", found.position.to_string()));
    response.insert_header(("Cache-Control", "no-store"));
    Ok(response.json(found.task))
}

pub async fn cancel(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (web::Path<String>, web::Payload),
) -> Result<HttpResponse, Problem> {
    let id = task_id(&path)?;
    context.nothing(&request, payload).await?;
    let task = context.services.tasks.cancel(&caller, &id).await?;
    Ok(HttpResponse::Ok().json(task))
}

pub async fn retry(
    request: HttpRequest,
    caller: Caller,
    context: Context,
    (path, payload): (web::Path<String>, web::Payload),
) -> Result<HttpResponse, Problem> {
    let id = task_id(&path)?;
    context.nothing(&request, payload).await?;
    let task = context.services.tasks.retry(&caller, &id).await?;
    Ok(HttpResponse::Created().json(task))
}

/// The task of a path.
pub(super) fn task_id(path: &str) -> Result<TaskId, Problem> {
    path.parse().map_err(|e| Problem::bad_parameter("id", e))
}

impl Context {
    /// Nothing, or an empty object, of a request that has no parameters.
    async fn nothing(&self, request: &HttpRequest, payload: web::Payload) -> Result<(), Problem> {
        let Empty {} = query::parse(request)?;
        let Empty {} = self.body_if_any(request, payload).await?;
        Ok(())
    }
}

fn order(body: OrderBody, header: Option<String>, text: &[u8]) -> Result<Order, Problem> {
    let key = key(header, body.idempotency_key)?.map(|name| TaskKey {
        name,
        body_hash: Sha256::digest(text).to_vec(),
    });
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
    Ok(Order {
        task: new_task(task, str::to_owned)?,
        team: body.team,
        parent: body.parent,
        children,
        key,
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
        Some(params) => kept_json(&params, &at("params"))?,
        None => RawValue::from_string("{}".to_owned()).unwrap_or_default(),
    };
    Ok(NewTask {
        task_type: body.r#type,
        title: body.title,
        params,
        max_attempts,
    })
}

/// JSON that can be kept and told: on one line, and not too deep.
pub(super) fn kept_json(raw: &RawValue, field: &str) -> Result<Box<RawValue>, Problem> {
    if depth(raw) > DEEPEST {
        let detail = format!("{field} is nested more than {DEEPEST} deep.");
        return Err(Problem::bad_request(Code::InvalidBody, detail).at(field));
    }
    Ok(on_one_line(raw))
}

fn key(header: Option<String>, body: Option<String>) -> Result<Option<String>, Problem> {
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
        (header, body) => Ok(header.or(body)),
    }
}

impl Context {
    fn tasks_question(&self, query: &ListQuery) -> Result<TaskListQuery, Problem> {
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

fn parsed<T>(field: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error| Problem::bad_parameter(field, error))
}

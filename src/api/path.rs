//! The variable parts of a path as arguments of handlers.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Context;
use super::problem::Problem;
use super::routes::no_such_path;
use crate::platform::{ModuleName, RecordPath, TaskId};

/// `{module}`.
impl FromRequest for ModuleName {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(variables(request).and_then(|name: String| {
            let name = name.parse();
            name.map_err(|error| Problem::bad_parameter("module", error))
        }))
    }
}

/// `{module}/{id}`.
impl FromRequest for RecordPath {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(record(request))
    }
}

/// `{module}/{id}` with a module that exists.
pub(super) struct KnownRecord(pub(super) RecordPath);

impl FromRequest for KnownRecord {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(record(request).and_then(|record| {
            Context::of(request)?.module(&record.module, "module")?;
            Ok(Self(record))
        }))
    }
}

/// `{id}` of a task.
impl FromRequest for TaskId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(variables(request).and_then(|id: String| {
            let id = id.parse();
            id.map_err(|error| Problem::bad_parameter("id", error))
        }))
    }
}

/// `{id}` of something that only admins name: letters, digits and dashes.
pub(super) struct PlainId(pub(super) String);

/// The longest of them.
const PLAIN_ID_CHARS: usize = 64;

impl PlainId {
    pub(super) fn parse(field: &str, text: String) -> Result<Self, Problem> {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_short = (1..=PLAIN_ID_CHARS).contains(&text.len());
        let is_valid = is_short && text.bytes().all(is_known);
        is_valid.then_some(Self(text)).ok_or_else(|| {
            let reason = "must be an id as a list has it: letters, digits and dashes";
            Problem::bad_parameter(field, reason)
        })
    }
}

impl FromRequest for PlainId {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(variables(request).and_then(|id| Self::parse("id", id)))
    }
}

fn record(request: &HttpRequest) -> Result<RecordPath, Problem> {
    #[derive(Deserialize)]
    struct Variables {
        module: String,
        id: String,
    }
    let Variables { module, id } = variables(request)?;
    let module = module.parse();
    let module = module.map_err(|error| Problem::bad_parameter("module", error))?;
    let id = id.parse();
    let id = id.map_err(|error| Problem::bad_parameter("id", error))?;
    Ok(RecordPath { module, id })
}

/// The variable parts, decoded.
pub(super) fn variables<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    let path = web::Path::extract(request).into_inner();
    path.map(web::Path::into_inner)
        .map_err(|_| no_such_path(request))
}

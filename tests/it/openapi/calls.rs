//! A request to every operation. What it names may not exist; otherwise it is valid.

use porchlight::identity::Role;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::nulls::bodies;
use crate::support::openapi::{DESCRIBED, Operation};
use crate::support::{Service, Token};

const JSON: &str = "application/json";

pub(super) struct Call {
    pub(super) operation: &'static Operation,
    role: Role,
    body: Option<Value>,
}

impl Call {
    /// One for each operation.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let bodies = bodies();
        DESCRIBED.operations.iter().map(move |operation| {
            let mut known = bodies.iter();
            let known = known
                .find(|(method, path, ..)| *method == operation.method && *path == operation.path);
            let (role, body) = match known {
                Some((_, _, role, bodies)) => (*role, bodies.first().cloned()),
                None if operation.path == "/stream/worker" => (Role::Worker, None),
                None if operation.path.starts_with("/admin/") => {
                    (Role::Admin, operation.request.as_ref().map(|_| json!({})))
                }
                None => (Role::Agent, operation.request.as_ref().map(|_| json!({}))),
            };
            Self {
                operation,
                role,
                body,
            }
        })
    }

    /// Those whose operation has a response with this status.
    pub(super) fn with_status(status: u16) -> impl Iterator<Item = Self> {
        Self::all().filter(move |call| call.operation.responses.contains_key(&status))
    }

    /// Those that take JSON.
    pub(super) fn with_json() -> impl Iterator<Item = Self> {
        Self::all().filter(|call| {
            let request = call.operation.request.as_ref();
            request.is_some_and(|request| request.content.contains_key(JSON))
        })
    }

    pub(super) fn name(&self) -> String {
        self.operation.name()
    }

    pub(super) fn path(&self) -> String {
        let path = self.operation.path.replace("{module}", "escrows");
        path.replace("{id}", "1")
            .replace("{file}", "console/console.js")
    }

    pub(super) fn token(&self) -> String {
        Token::user("u", &["t"]).in_role(self.role).signed()
    }

    /// The request without its token and body.
    pub(super) fn bare(&self, service: &Service) -> RequestBuilder {
        let method = self.operation.method.parse().expect("a method");
        service.client.request(method, service.url(&self.path()))
    }

    /// The request with its token, and without its body.
    pub(super) fn bodiless(&self, service: &Service) -> RequestBuilder {
        self.bare(service).bearer_auth(self.token())
    }

    /// The whole request.
    pub(super) fn request(&self, service: &Service) -> RequestBuilder {
        let request = self.bodiless(service);
        match &self.body {
            _ if self.operation.path == "/uploads" => request
                .header("content-type", "text/csv")
                .body("Name\nAnn\n"),
            Some(body) => request.json(body),
            None => request,
        }
    }
}

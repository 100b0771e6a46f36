//! Callers with certain rights as arguments of handlers.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest};
use futures_util::FutureExt;
use futures_util::future::Map;

use super::problem::{Code, Problem};
use crate::identity::{Caller, Role};
use crate::stream::UnknownScope;

/// A caller that may publish events.
pub(super) type Publisher = Permitted<MayPublish>;
/// A caller that carries out tasks.
pub(super) type TaskWorker = Permitted<MayWork>;
/// A caller that creates tasks.
pub(super) type TaskCreator = Permitted<MayCreateTasks>;
/// A caller that may revoke tokens.
pub(super) type Revoker = Permitted<MayRevoke>;
/// A caller that administers a brokerage.
pub(super) type Administrator = Permitted<MayAdminister>;

/// Tells which callers a handler is for.
pub(super) trait CallerRule {
    /// The error says why another caller is refused.
    fn check(caller: &Caller) -> Result<(), Problem>;
}

/// A caller that a rule permits.
pub(super) struct Permitted<R> {
    pub(super) caller: Caller,
    rule: PhantomData<R>,
}

type CallerCheck<T> = fn(Result<Caller, Problem>) -> Result<T, Problem>;

impl<R: CallerRule> FromRequest for Permitted<R> {
    type Error = Problem;
    type Future = Map<<Caller as FromRequest>::Future, CallerCheck<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let check: CallerCheck<Self> = |caller| {
            let caller = caller?;
            R::check(&caller)?;
            let rule = PhantomData;
            Ok(Self { caller, rule })
        };
        Caller::from_request(request, payload).map(check)
    }
}

pub(super) enum MayPublish {}

impl CallerRule for MayPublish {
    fn check(caller: &Caller) -> Result<(), Problem> {
        let refusal = "Publishing needs a token with the role service.";
        need_role(caller.may_publish(), refusal)
    }
}

pub(super) enum MayWork {}

impl CallerRule for MayWork {
    fn check(caller: &Caller) -> Result<(), Problem> {
        let is_worker = caller.may_work().then_some(());
        is_worker.ok_or_else(|| UnknownScope::NoWorker.into())
    }
}

pub(super) enum MayCreateTasks {}

impl CallerRule for MayCreateTasks {
    fn check(caller: &Caller) -> Result<(), Problem> {
        let refusal = "Workers carry out tasks; others create them.";
        need_role(caller.role != Role::Worker, refusal)
    }
}

pub(super) enum MayRevoke {}

impl CallerRule for MayRevoke {
    fn check(caller: &Caller) -> Result<(), Problem> {
        let refusal = "Revoking tokens needs a token with the role admin or service.";
        need_role(matches!(caller.role, Role::Admin | Role::Service), refusal)
    }
}

pub(super) enum MayAdminister {}

impl CallerRule for MayAdminister {
    fn check(caller: &Caller) -> Result<(), Problem> {
        let refusal = "This needs a token with the role admin.";
        need_role(caller.may_administer(), refusal)
    }
}

fn need_role(has_role: bool, refusal: &'static str) -> Result<(), Problem> {
    let role_needed = || Problem::new(StatusCode::FORBIDDEN, Code::RoleNeeded, refusal);
    has_role.then_some(()).ok_or_else(role_needed)
}

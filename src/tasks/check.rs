//! Checks of what tasks are given, when they are asked for. Whoever does tasks of a type hands in the
//! check of its parameters: nothing here knows what a type means.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{NewTask, Order, TaskError, Tasks};
use crate::identity::Caller;
use crate::platform::TaskType;

/// Parameters that a task cannot be done with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongParams {
    /// Why, for programs: the code that the task would fail with.
    pub reason: String,
    /// Where in the request: `params.module`, `children[2].params.module`.
    pub field: String,
    pub detail: String,
}

/// The outcome of a check, when it is there.
pub type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), TaskError>> + Send + 'a>>;

/// Who knows what tasks of a type may be given.
pub trait ParamsCheck: Debug + Send + Sync {
    fn task_type(&self) -> TaskType;

    /// Refuses parameters that the caller cannot have a task of the type done with. The fields of
    /// [`TaskError::WrongParams`] begin with `params`.
    fn check<'a>(&'a self, caller: &'a Caller, params: &'a RawValue) -> Checking<'a>;
}

#[derive(Clone, Debug, Default)]
pub(super) struct Checks(Arc<HashMap<TaskType, Box<dyn ParamsCheck>>>);

impl Tasks {
    /// The same way to the tasks, which refuses what these checks refuse.
    #[must_use]
    pub fn checking(self, checks: Vec<Box<dyn ParamsCheck>>) -> Self {
        let named = checks.into_iter().map(|check| (check.task_type(), check));
        let checks = Checks(Arc::new(named.collect()));
        Self { checks, ..self }
    }
}

impl Checks {
    /// The types that have a check.
    pub(super) fn types(&self) -> impl Iterator<Item = &TaskType> {
        self.0.keys()
    }

    /// Refuses an order with a task that cannot be done. No worker does a workflow itself: its
    /// parameters mean nothing to the service.
    pub(super) async fn order(&self, caller: &Caller, order: &Order) -> Result<(), TaskError> {
        if order.children.is_empty() {
            return self.new_task(caller, &order.task).await;
        }
        for (n, child) in order.children.iter().enumerate() {
            let checked = self.new_task(caller, child).await;
            checked.map_err(|error| match error {
                TaskError::WrongParams(wrong) => {
                    let field = format!("children[{n}].{}", wrong.field);
                    TaskError::WrongParams(Box::new(WrongParams { field, ..*wrong }))
                }
                error => error,
            })?;
        }
        Ok(())
    }

    async fn new_task(&self, caller: &Caller, task: &NewTask) -> Result<(), TaskError> {
        self.params(caller, (&task.task_type, &task.params)).await
    }

    /// Refuses parameters that a task of the type cannot be done with.
    pub(super) async fn params(
        &self,
        caller: &Caller,
        (task_type, params): (&TaskType, &RawValue),
    ) -> Result<(), TaskError> {
        match self.0.get(task_type) {
            Some(check) => check.check(caller, params).await,
            None => Ok(()),
        }
    }
}

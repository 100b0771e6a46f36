//! Checks of parameters when a task is requested. The handler of a type provides its check: nothing
//! here depends on the meaning of a type.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{NewTask, TaskError, TaskRequest, Tasks};
use crate::identity::Caller;
use crate::platform::TaskType;

/// Parameters with which a task cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongParams {
    /// The code with which the task would fail.
    pub reason: String,
    /// The field in the request: `params.module`, `children[2].params.module`.
    pub field: String,
    pub detail: String,
}

pub type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), TaskError>> + Send + 'a>>;

/// Checks the parameters of tasks of one type.
pub trait ParamsCheck: Debug + Send + Sync {
    fn task_type(&self) -> TaskType;

    /// Refuses parameters with which no task of the type can be carried out for this caller. The
    /// fields of [`TaskError::WrongParams`] begin with `params`.
    fn check<'a>(&'a self, caller: &'a Caller, params: &'a RawValue) -> Checking<'a>;
}

#[derive(Clone, Debug, Default)]
pub(super) struct Checks(Arc<HashMap<TaskType, Box<dyn ParamsCheck>>>);

impl Tasks {
    /// The same tasks with these checks.
    #[must_use]
    pub fn checking(self, checks: Vec<Box<dyn ParamsCheck>>) -> Self {
        let named = checks.into_iter().map(|check| (check.task_type(), check));
        let checks = Checks(Arc::new(named.collect()));
        Self { checks, ..self }
    }
}

impl Checks {
    pub(super) fn types(&self) -> impl Iterator<Item = &TaskType> {
        self.0.keys()
    }

    /// Checks all tasks of a request. The parameters of a workflow are not checked, because no
    /// worker carries out the workflow itself.
    pub(super) async fn request(
        &self,
        caller: &Caller,
        request: &TaskRequest,
    ) -> Result<(), TaskError> {
        if request.children.is_empty() {
            return self.new_task(caller, &request.task).await;
        }
        for (n, child) in request.children.iter().enumerate() {
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
        self.params(caller, &task.task_type, &task.params).await
    }

    pub(super) async fn params(
        &self,
        caller: &Caller,
        task_type: &TaskType,
        params: &RawValue,
    ) -> Result<(), TaskError> {
        match self.0.get(task_type) {
            Some(check) => check.check(caller, params).await,
            None => Ok(()),
        }
    }
}

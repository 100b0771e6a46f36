//! Whether an import can be done, as far as this is known without its file: the same questions when
//! it is asked for and when it is done.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::TASK_TYPE;
use super::columns::refuse_unknown_fields;
use super::params::{Params, Source};
use super::refusal::{Refusal, Trouble};
use crate::identity::Caller;
use crate::platform::{ModuleName, TaskType, UploadId};
use crate::records::{Kind, Records, RecordsError};
use crate::tasks::uploads::Uploads;
use crate::tasks::{Checking, ParamsCheck};

/// Refuses imports that cannot be done when they are asked for.
#[derive(Debug)]
pub struct ImportCheck {
    /// Where the records are to go.
    pub records: Arc<Records>,
    pub uploads: Uploads,
}

impl ParamsCheck for ImportCheck {
    fn task_type(&self) -> TaskType {
        TASK_TYPE.parse().expect("a short word")
    }

    fn check<'a>(&'a self, caller: &'a Caller, params: &'a RawValue) -> Checking<'a> {
        Box::pin(async move { Ok(self.refuse(caller, params).await?) })
    }
}

impl ImportCheck {
    async fn refuse(&self, caller: &Caller, params: &RawValue) -> Result<(), Trouble> {
        let (params, _) = understand(&self.records, caller, Some(params)).await?;
        match &params.source {
            Source::Upload(id) if !self.uploads.has(caller, id).await? => {
                Err(no_such_upload(id).into())
            }
            _ => Ok(()),
        }
    }
}

/// What an import is asked to do, and the records that it makes.
pub(super) async fn understand<'a>(
    records: &'a Records,
    caller: &Caller,
    params: Option<&RawValue>,
) -> Result<(Params, &'a Kind), Trouble> {
    let params = Params::parse(params)?;
    let kind = kind(records, &params.module).await?;
    if let Some(team) = params.team.as_ref().filter(|team| !caller.is_on(team))
        && !caller.may_administer()
    {
        let sentence = format!("teamId: you are not on the team {team}.");
        return Err(Refusal::at("teamId", "not_your_team", sentence).into());
    }
    refuse_unknown_fields(kind, &params)?;
    Ok((params, kind))
}

async fn kind<'a>(records: &'a Records, module: &str) -> Result<&'a Kind, Trouble> {
    let name: Option<ModuleName> = module.parse().ok();
    let found = match &name {
        Some(name) => records.kind(name).await.map(Some),
        None => Ok(None),
    };
    match found {
        Ok(Some(kind)) => Ok(kind),
        Ok(None) | Err(RecordsError::NoRecords(_)) => {
            let kinds = records.catalogue().await?.kinds();
            let names: Vec<_> = kinds.map(|kind| kind.module.as_str()).collect();
            let names = names.join(", ");
            let sentence = format!("module: records can be made of {names}.");
            Err(Refusal::at("module", "no_such_module", sentence).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The caller has no such file.
pub(super) fn no_such_upload(id: &UploadId) -> Refusal {
    let sentence = format!(
        "upload: you have no upload {id}. Uploads are kept for 24 hours, or until an import of them \
         has completed or, after one has not, their room is needed."
    );
    Refusal::at("upload", "no_such_upload", sentence)
}

//! Whether an import can be done, as far as this is known without its file: the same questions when
//! it is asked for and when it is done.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::TASK_TYPE;
use super::columns::refuse_unknown_fields;
use super::params::{Params, Source};
use super::refusal::{Refusal, Trouble};
use crate::crm::{Crm, CrmError, Kind};
use crate::identity::Caller;
use crate::ids::{ModuleName, TaskType, UploadId};
use crate::tasks::{Checking, ParamsCheck};
use crate::uploads::Uploads;

/// Refuses imports that cannot be done when they are asked for.
#[derive(Debug)]
pub struct ImportCheck {
    /// Where the records are to go.
    pub crm: Arc<Crm>,
    /// Where the files are.
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
        let (params, _) = understand(&self.crm, caller, Some(params)).await?;
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
    crm: &'a Crm,
    caller: &Caller,
    params: Option<&RawValue>,
) -> Result<(Params, &'a Kind), Trouble> {
    let params = Params::parse(params)?;
    let kind = kind(crm, &params.module).await?;
    if let Some(team) = params.team.as_ref().filter(|team| !caller.is_on(team))
        && !caller.may_administer()
    {
        let sentence = format!("teamId: you are not on the team {team}.");
        return Err(Refusal::at("teamId", "not_your_team", sentence).into());
    }
    refuse_unknown_fields(kind, &params)?;
    Ok((params, kind))
}

async fn kind<'a>(crm: &'a Crm, module: &str) -> Result<&'a Kind, Trouble> {
    let name: Option<ModuleName> = module.parse().ok();
    let found = match &name {
        Some(name) => crm.kind(name).await.map(Some),
        None => Ok(None),
    };
    match found {
        Ok(Some(kind)) => Ok(kind),
        Ok(None) | Err(CrmError::NoRecords(_)) => {
            let kinds = crm.catalogue().await?.kinds();
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

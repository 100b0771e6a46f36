//! Checks an import as far as this is possible without its file. The same checks run when the import
//! is requested and when it begins.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::TASK_TYPE;
use super::columns::refuse_unknown_fields;
use super::params::{CsvSource, ImportParams};
use super::refusal::{CheckError, ParamsRefusal};
use crate::identity::Caller;
use crate::platform::{ModuleName, TaskType, UploadId};
use crate::records::{RecordKind, Records, RecordsError};
use crate::tasks::uploads::Uploads;
use crate::tasks::{Checking, ParamsCheck};

/// The check of requests for imports.
#[derive(Debug)]
pub struct ImportCheck {
    pub records: Arc<Records>,
    pub uploads: Uploads,
}

impl ParamsCheck for ImportCheck {
    fn task_type(&self) -> TaskType {
        TASK_TYPE.parse().expect("a valid type")
    }

    fn check<'a>(&'a self, caller: &'a Caller, params: &'a RawValue) -> Checking<'a> {
        Box::pin(async move { Ok(self.refuse(caller, params).await?) })
    }
}

impl ImportCheck {
    async fn refuse(&self, caller: &Caller, params: &RawValue) -> Result<(), CheckError> {
        let (params, _) = parse(&self.records, caller, Some(params)).await?;
        match &params.source {
            CsvSource::Upload(id) if !self.uploads.has(caller, id).await? => {
                Err(no_such_upload(id).into())
            }
            _ => Ok(()),
        }
    }
}

/// The parameters of an import, and the kind of its records.
pub(super) async fn parse<'a>(
    records: &'a Records,
    caller: &Caller,
    params: Option<&RawValue>,
) -> Result<(ImportParams, &'a RecordKind), CheckError> {
    let params = ImportParams::parse(params)?;
    let kind = kind(records, &params.module).await?;
    if let Some(team) = params.team.as_ref().filter(|team| !caller.is_on(team))
        && !caller.may_administer()
    {
        let sentence = format!("teamId: you are not on the team {team}.");
        return Err(ParamsRefusal::at("teamId", "not_your_team", sentence).into());
    }
    refuse_unknown_fields(kind, &params)?;
    Ok((params, kind))
}

async fn kind<'a>(records: &'a Records, module: &str) -> Result<&'a RecordKind, CheckError> {
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
            Err(ParamsRefusal::at("module", "no_such_module", sentence).into())
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn no_such_upload(id: &UploadId) -> ParamsRefusal {
    let sentence = format!(
        "upload: you have no upload {id}. Uploads are stored for 24 hours, or until an import of them \
         has completed, or until a new upload needs their place after an import has failed."
    );
    ParamsRefusal::at("upload", "no_such_upload", sentence)
}

//! The first records of a brokerage.

use std::collections::HashMap;

use super::error::RecordsError;
use super::parse::{InputValue, Purpose};
use super::{Records, row};
use crate::identity::Caller;
use crate::platform::{BrokerId, ModuleName, UserId};

/// A record to create, with its fields as texts.
#[derive(Clone, Debug)]
pub struct RecordDraft {
    pub author: Caller,
    pub module: ModuleName,
    /// Values by their names in JSON.
    pub fields: Vec<(String, String)>,
}

impl Records {
    /// Creates the first records of a brokerage, all of them or none. Returns false, and changes
    /// nothing, if the brokerage has records.
    pub async fn fill(
        &self,
        broker: &BrokerId,
        drafts: &[RecordDraft],
    ) -> Result<bool, RecordsError> {
        let catalogue = self.catalogue().await?;
        let kinds: HashMap<_, _> = catalogue.kinds().map(|kind| (&kind.module, kind)).collect();
        let mut transaction = self.pool.begin().await?;
        if !row::lock_if_empty(&mut transaction, broker).await? {
            return Ok(false);
        }
        let mut current_user: Option<&UserId> = None;
        for RecordDraft {
            author,
            module,
            fields,
        } in drafts
        {
            let kind = kinds.get(module).copied();
            let kind = kind.ok_or_else(|| RecordsError::NoRecords(module.clone()))?;
            let inputs = fields.iter();
            let inputs = inputs.map(|(name, text)| (name.as_str(), InputValue::Text(text)));
            let fields = self.with_defaults(author, kind.parse(inputs, Purpose::Create))?;
            if current_user.replace(&author.user) != Some(&author.user) {
                row::set_user(&mut transaction, &author.user).await?;
            }
            let created = row::insert(&mut transaction, broker, kind, &fields).await;
            created.map_err(|error| RecordsError::of_write(error, kind))?;
        }
        self.commit(transaction).await?;
        Ok(true)
    }
}

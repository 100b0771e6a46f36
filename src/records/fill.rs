//! Many records at once, for a broker that has none.

use std::collections::HashMap;

use super::error::RecordsError;
use super::parse::{Given, Purpose};
use super::{Records, row};
use crate::identity::Caller;
use crate::platform::{BrokerId, ModuleName, UserId};

/// A record that somebody is to make, with its fields as texts.
#[derive(Clone, Debug)]
pub struct Draft {
    pub author: Caller,
    pub module: ModuleName,
    /// Values by the names that clients use.
    pub fields: Vec<(String, String)>,
}

impl Records {
    /// Makes the first records of a broker, all of them or none. Says whether they are the
    /// first: a broker that has any is left alone.
    pub async fn fill(&self, broker: &BrokerId, drafts: &[Draft]) -> Result<bool, RecordsError> {
        let catalogue = self.catalogue().await?;
        let kinds: HashMap<_, _> = catalogue.kinds().map(|kind| (&kind.module, kind)).collect();
        let mut transaction = self.pool.begin().await?;
        if !row::take_bare(&mut transaction, broker).await? {
            return Ok(false);
        }
        let mut signed: Option<&UserId> = None;
        for Draft {
            author,
            module,
            fields,
        } in drafts
        {
            let kind = kinds.get(module).copied();
            let kind = kind.ok_or_else(|| RecordsError::NoRecords(module.clone()))?;
            let given = fields.iter();
            let given = given.map(|(name, text)| (name.as_str(), Given::Text(text)));
            let fields = self.begun(author, kind.parse(given, Purpose::Create))?;
            if signed.replace(&author.user) != Some(&author.user) {
                row::sign(&mut transaction, &author.user).await?;
            }
            let made = row::insert(&mut transaction, (broker, kind), &fields).await;
            made.map_err(|error| RecordsError::of_write(error, kind))?;
        }
        self.conclude(transaction).await?;
        Ok(true)
    }
}

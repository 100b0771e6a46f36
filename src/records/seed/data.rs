//! The data of the example: people, and templates of records.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::identity::Role;
use crate::platform::{BrokerId, ModuleName, TeamId, UserId};

const PEOPLE: &str = include_str!("brokerage.toml");
const RECORDS: &str = include_str!("records.toml");

/// What is wrong with the data.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSeed(pub(super) String);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedPerson {
    pub user: UserId,
    pub name: String,
    #[serde(deserialize_with = "role")]
    pub role: Role,
    pub teams: Vec<TeamId>,
}

#[derive(Clone, Debug)]
pub struct Brokerage {
    /// Its id, unless the command line has another.
    pub broker: BrokerId,
    pub people: Vec<SeedPerson>,
    pub(super) tables: BTreeMap<String, Vec<SeedRow>>,
    pub(super) templates: Vec<RecordTemplate>,
}

/// Texts by name: a row of a table, or the fields of a record.
pub(super) type SeedRow = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeopleFile {
    broker: BrokerId,
    person: Vec<SeedPerson>,
    table: BTreeMap<String, Vec<SeedRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsFile {
    module: Vec<RecordTemplate>,
}

/// The records of a module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordTemplate {
    pub(super) name: ModuleName,
    pub(super) id: String,
    pub(super) count: usize,
    pub(super) draw: BTreeMap<String, String>,
    pub(super) field: Vec<FieldTemplate>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct FieldTemplate {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) value: ValueTemplate,
    #[serde(default)]
    pub(super) when: BTreeMap<String, Vec<String>>,
    #[serde(default = "always")]
    pub(super) percent: i64,
}

/// How a value is made. `records.toml` explains each.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ValueTemplate {
    Text(String),
    Pick(Vec<String>),
    Mix(BTreeMap<String, i64>),
    Amount([i64; 3]),
    Sum([String; 2]),
    Share {
        of: String,
        permille: [i64; 2],
        step: i64,
    },
    Day([i64; 2]),
    Later {
        than: String,
        days: [i64; 2],
    },
    Moment {
        days: [i64; 2],
        hours: [i64; 2],
    },
    Until {
        start: String,
        minutes: Vec<i64>,
    },
}

impl Brokerage {
    /// The example that is part of the program.
    pub fn example() -> Result<Self, InvalidSeed> {
        let refuse = |error: toml::de::Error| InvalidSeed(error.to_string());
        let people: PeopleFile = toml::from_str(PEOPLE).map_err(refuse)?;
        let records: RecordsFile = toml::from_str(RECORDS).map_err(refuse)?;
        Ok(Self {
            broker: people.broker,
            people: people.person,
            tables: people.table,
            templates: records.module,
        })
    }
}

fn always() -> i64 {
    100
}

fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(serde::de::Error::custom)
}

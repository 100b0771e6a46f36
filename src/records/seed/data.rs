//! The data of the example: who works there, and templates of records.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::identity::Role;
use crate::platform::{BrokerId, ModuleName, TeamId, UserId};

/// Who works there, and the words that records are made of.
const PEOPLE: &str = include_str!("brokerage.toml");
const RECORDS: &str = include_str!("records.toml");

/// What is wrong with the data, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSeed(pub(super) String);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    pub user: UserId,
    pub name: String,
    #[serde(deserialize_with = "role")]
    pub role: Role,
    /// The teams they are on.
    pub teams: Vec<TeamId>,
}

#[derive(Clone, Debug)]
pub struct Brokerage {
    /// What it is called, unless somebody says otherwise.
    pub broker: BrokerId,
    pub people: Vec<Person>,
    pub(super) tables: BTreeMap<String, Vec<RecordRow>>,
    pub(super) templates: Vec<Template>,
}

/// Texts by name: a row of a table, or a record.
pub(super) type RecordRow = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeopleFile {
    broker: BrokerId,
    person: Vec<Person>,
    table: BTreeMap<String, Vec<RecordRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsFile {
    module: Vec<Template>,
}

/// What the records of a module look like.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Template {
    pub(super) name: ModuleName,
    pub(super) id: String,
    pub(super) count: usize,
    pub(super) draw: BTreeMap<String, String>,
    pub(super) field: Vec<Field>,
}

/// A field of a template.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) value: Value,
    #[serde(default)]
    pub(super) when: BTreeMap<String, Vec<String>>,
    #[serde(default = "always")]
    pub(super) percent: i64,
}

/// How a value comes about. The file says what each means.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Value {
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
    /// The example that the program brings along.
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

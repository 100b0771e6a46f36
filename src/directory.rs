//! The CRM's modules, who may see a record, and people.

mod brokerages;
mod modules;
pub mod people;
mod record_audiences;
pub mod rights;

pub use brokerages::{
    BrokerageParts, BrokerageQuery, Brokerages, Forget, LookupError, Member, QueryError, StreamAt,
    StreamWatch,
};
pub use modules::{InvalidModules, Module, Modules};
pub use people::PeopleKeeper;
pub use record_audiences::{RecordAudiences, RecordError, audience_for, onlookers};

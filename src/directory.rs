//! The CRM's modules, who may see a record, which brokerage a user belongs to, and people's names.

mod brokerages;
mod modules;
pub mod people;
mod record_visibility;
pub mod rights;

pub use brokerages::{
    BrokerageParts, BrokerageQuery, Brokerages, LookupError, Member, QueryError, StreamAddress,
    StreamWatch,
};
pub use modules::{InvalidModules, Module, Modules};
pub use people::PeopleWriter;
pub use record_visibility::{RecordAudiences, RecordError, activity_audiences, audience_for};

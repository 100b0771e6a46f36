//! The log in Postgres: the one truth of what happened, in which order.
//!
//! Free functions over a connection; who calls decides the transaction.

pub mod acts;
pub mod append;
pub mod heads;
pub mod idempotency;
pub mod labels;
pub mod origin;
mod owners;
pub mod read;
pub mod records;
pub mod retention;
pub mod teller;
pub mod writer;

pub use append::{Appended, Batch, append};
pub use heads::Head;
pub use teller::Teller;
pub use writer::{Publication, PublishError, Writer};

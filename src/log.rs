//! The log in Postgres: the one truth of what happened, in which order.
//!
//! Free functions over a connection; who calls decides the transaction.

pub mod acts;
pub mod append;
mod committer;
mod event;
pub mod heads;
mod hints;
pub mod idempotency;
pub mod labels;
pub mod origin;
mod owners;
pub mod peers;
pub mod read;
pub mod records;
mod relay;
pub mod retention;
mod settings;
mod writer;

pub use acts::ActsQuery;
pub use append::{Appended, Batch, append};
pub use committer::EventCommitter;
pub use event::json::{
    DEEPEST, EventJson, depth, field_at_fault, named_field, on_one_line, timestamp,
};
pub use event::private::fields;
pub use event::{
    Audience, Cursor, Epoch, Event, NewEvent, Private, Rights, Shown, json, set_aside,
};
pub use heads::Head;
pub use hints::{
    ChangeHints, Changes, CommitNotifier, CommitObserver, CommittedBatch, LogObserver,
    PeerNotifier, TaskChanges, TaskHints, TaskKey, TaskListener, TaskNotices,
};
pub use idempotency::{IdempotencyKey, IdempotencyKeyId, Operation};
pub use labels::{Question, Told};
pub use peers::listen::{MembershipListener, PeerListener};
pub use read::{Direction, LastEvents, Page, Want};
pub use relay::{PrivateFields, Relay, RelayRules, RelayWaker, SignalTypes};
pub use settings::RetentionSettings;
pub use writer::WriterParts;
pub use writer::{Publication, PublishError, Writer};

//! The event log in Postgres: append, commit, read, retention, the relay of the outbox, and
//! notices between instances.
//!
//! Reads are free functions over a connection. Writes go through [`EventCommitter`].

pub mod acts;
mod append;
mod committer;
mod event;
pub mod figures;
pub mod heads;
mod hints;
pub mod idempotency;
pub mod labels;
pub mod origin;
mod owners;
pub mod peers;
pub mod poison;
mod publishing_bytes;
pub mod read;
pub mod records;
mod relay;
pub mod retention;
mod settings;
mod writer;

pub use acts::ActsQuery;
pub use append::shared::{CommitSharing, FollowedLogs};
pub use append::{Appended, EventBatch, append};
pub use committer::{
    CommitNotifier, CommitObserver, CommittedBatch, EventCommitter, LogObserver, PendingEvents,
};
#[cfg(any(test, feature = "fuzzing"))]
pub use event::entry_points;
pub use event::json::{
    DEEPEST, EventJson, depth, field_at_fault, named_field, on_one_line, timestamp,
};
pub use event::private::fields;
pub use event::{
    Audience, Cursor, Epoch, Event, NewEvent, Private, REDACTED, REDACTED_JSON, RecordAudience,
    Rights, json, set_aside,
};
pub use heads::Head;
pub use hints::{
    ChangeHints, Changes, PeerNotifier, PeerText, TaskChanges, TaskHints, TaskKey, TaskListener,
    TaskNotices,
};
pub use idempotency::{Answered, IdempotencyKey, IdempotencyKeyId, KeyError, Operation};
pub use idempotency::{claim_key, find_answer, store_answer};
pub use labels::{LabelCandidates, LabelQuery};
pub use peers::listen::{MembershipListener, PeerListener};
pub use peers::redis::{InvalidTarget, RedisTarget};
pub use peers::{BackplaneState, BrokerSubscription, BrokerSubscriptions};
pub use publishing_bytes::PublishingBytes;
pub use read::{Direction, LastEvents, LogPage, PageQuery};
pub use relay::{OutboxWatch, PrivateFields, Relay, RelayRules, RelayWaker, SignalTypes};
pub use settings::RetentionSettings;
pub use writer::{Publication, PublishError, Published, Writer, WriterParts};

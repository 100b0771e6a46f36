//! The parts that all modules use: the database, background tasks, telemetry, metrics, the clock, ids.

mod arrival_rush;
mod background;
mod backlog;
mod batcher;
mod clock;
pub mod database;
#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_point;
mod exact_timer;
pub mod figures;
pub mod ids;
mod instances;
pub mod metrics;
mod paging;
mod quotas;
mod returned_memory;
mod service_manager;
pub mod telemetry;
pub mod traces;

pub use arrival_rush::{ArrivalRush, LONGEST_RUSH_WAIT, RUSH_END};
pub use background::{BackgroundTask, BackgroundTasks};
pub use backlog::{RETRY_PAUSE, take_more};
pub use batcher::{BatchError, BatchLimits, Batcher, Batches, Pending};
pub use clock::{Clock, Dice, SmallInstant};
pub use database::{
    Database, DatabaseError, DatabaseSettings, DedicatedConnection, Limit, Pool, Transaction,
};
pub use figures::{BrokerageFigures, Figures};
pub use ids::{
    BrokerId, EventType, FaultCode, InvalidId, ModuleName, NAME_FORM, Principal, RecordId,
    RecordPath, RequestId, ReservedFor, SessionName, TaskId, TaskType, TeamId, USER_CHARS,
    USER_FORM, UploadId, UserId,
};
pub use instances::InstanceCount;
pub use metrics::{ChannelSender, LoopMeter, Metrics, Permits, Queues};
pub use paging::{PageItems, PageLimit};
pub use quotas::{QuotaExceeded, QuotaKind, QuotaScope, QuotaSettings, QuotaUse};
pub use returned_memory::return_memory;
pub use service_manager::ServiceManager;
pub use telemetry::{LineLimit, LogFormat};
pub use traces::{DeliveryTrace, SpanContext, Tracer};

//! What happened in a run: an append-only file with one line of JSON for each entry.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use porchlight::platform::Clock;
use serde::{Deserialize, Serialize};

/// What identifies an event of the log, for whoever receives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventFacts {
    #[serde(rename = "type")]
    pub event_type: String,
    /// `escrows/e-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The number that a publisher or writer gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// A task's id, or the fence of a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// An event as the log has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogRow {
    pub brokerage: String,
    pub position: i64,
    pub audience: String,
    pub event: EventFacts,
}

/// Which events a reader must receive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interest {
    pub brokerage: String,
    /// As the log names them: `team:t1`.
    pub audiences: Vec<String>,
    /// The beginning of the types, where it asked for some only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

impl Interest {
    pub fn covers(&self, row: &LogRow) -> bool {
        self.brokerage == row.brokerage
            && self.audiences.contains(&row.audience)
            && self
                .types
                .as_ref()
                .is_none_or(|types| row.event.event_type.starts_with(types))
            && (self.record.is_none() || self.record == row.event.record)
    }
}

/// Whether a reader may see private values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Privacy {
    /// An admin: sees all.
    All,
    /// Never the owner of a record.
    Nothing,
}

/// How something ended for the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Done,
    /// It was not carried out.
    Refused,
    /// Nobody knows.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "what",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Entry {
    Began {
        seed: u64,
        instances: usize,
        /// The clock of the machine, from which leases count.
        clock_ms: i64,
    },
    FaultBegan {
        fault: usize,
        kind: String,
    },
    FaultEnded {
        fault: usize,
    },
    /// How often Postgres could not write while its disk was full.
    DiskFull {
        refused: usize,
    },
    /// No more faults, and nobody changes anything any more.
    Calm,
    /// The end, before the final states are read.
    Ended,
    /// A request of a publisher, before it is sent for the first time.
    Sent {
        request: u64,
        brokerage: String,
        numbers: Vec<i64>,
    },
    /// Every number has its position. A repeated request can be acknowledged twice.
    Acknowledged {
        request: u64,
        positions: Vec<i64>,
    },
    /// A request that is not sent again.
    Failed {
        request: u64,
        outcome: Outcome,
    },
    /// A row of the log, as the database has it.
    Logged(LogRow),
    /// Retention has removed the positions up to here.
    Trimmed {
        brokerage: String,
        horizon: i64,
    },
    /// The log got another epoch: its readers get a reset.
    NewEpoch {
        brokerage: String,
    },
    /// The log was read up to the end after everything had stopped.
    LogRead,
    /// A reader begins behind a position.
    Joined {
        reader: String,
        interest: Interest,
        privacy: Option<Privacy>,
        after: i64,
    },
    Opened {
        reader: String,
        instance: usize,
        /// When its token ends, in microseconds of this history.
        expires: u64,
        /// The id of the token, where somebody may revoke it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// A stream was not opened: its token or ticket was refused.
    NotOpened {
        reader: String,
        code: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
    },
    /// The open stream of a reader was given a fresh token.
    Renewed {
        reader: String,
        /// When that ends.
        expires: u64,
    },
    /// Somebody revokes a token, and is told that this is done.
    RevocationAsked {
        token: String,
    },
    Revoked {
        token: String,
    },
    Received {
        reader: String,
        position: i64,
        event: EventFacts,
        /// A private value as it was sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    },
    /// The reader was told that it misses events, and goes on behind this position.
    Reset {
        reader: String,
        reason: String,
        position: i64,
    },
    Closed {
        reader: String,
        reason: String,
    },
    /// Somebody away on purpose, or no longer.
    Away {
        reader: String,
        away: bool,
    },
    LockAsked {
        ask: u64,
        record: String,
        holder: String,
    },
    /// A grant or a renewal.
    LockGranted {
        ask: u64,
        fence: i64,
        /// The end of the lease, in microseconds of this history.
        until: u64,
    },
    /// Somebody else holds it.
    LockRefused {
        ask: u64,
    },
    /// A holder gives up what it has, or might have.
    LockLeft {
        record: String,
        holder: String,
    },
    /// A write of a record transaction on a watched table, before its commit.
    Written {
        write: i64,
        record: String,
        version: i64,
    },
    WriteEnded {
        write: i64,
        outcome: Outcome,
    },
    TaskAsked {
        task: String,
    },
    Claimed {
        task: String,
        fence: i64,
        asked: u64,
    },
    /// A worker says that a task is over.
    TaskEndAsked {
        task: String,
        fence: i64,
        state: String,
    },
    TaskEndAnswered {
        task: String,
        fence: i64,
        state: String,
        outcome: Outcome,
    },
    /// How a task is at the end.
    TaskState {
        task: String,
        state: String,
    },
    /// What a reader of the output of a task got, and what the worker wrote.
    OutputRead {
        task: String,
        whole: bool,
    },
    /// The records of an import at the end: how many there are, and how many different ones.
    Imported {
        task: String,
        rows: u64,
        found: u64,
        different: u64,
        state: String,
    },
    /// Who is online in the end.
    PresenceExpected {
        brokerage: String,
        users: Vec<String>,
    },
    PresenceSeen {
        place: String,
        brokerage: String,
        users: Vec<String>,
    },
    Memory {
        instance: usize,
        process: u32,
        kib: u64,
    },
    /// A process ended with something that is a fault of the service.
    Crashed {
        instance: usize,
        text: String,
    },
}

/// An entry and when it was written, in microseconds since the beginning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub at: u64,
    #[serde(flatten)]
    pub entry: Entry,
}

/// The file, while it is written.
pub struct History {
    began: Instant,
    began_ms: i64,
    file: Mutex<BufWriter<File>>,
}

impl History {
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let file = BufWriter::new(File::create(path)?);
        let began_ms = Clock::system().now().unix_timestamp_nanos() / 1_000_000;
        Ok(Self {
            began: Instant::now(),
            began_ms: i64::try_from(began_ms).expect("a time"),
            file: Mutex::new(file),
        })
    }

    /// The clock of the machine at the beginning.
    pub fn began_ms(&self) -> i64 {
        self.began_ms
    }

    /// Microseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).expect("a time")
    }

    /// A time of the machine's clock in microseconds since the beginning.
    pub fn moment(&self, unix_ms: i64) -> u64 {
        u64::try_from((unix_ms - self.began_ms).max(0) * 1_000).expect("a time")
    }

    /// Appends an entry. Its time is taken while the file is held, so times never go back.
    pub fn note(&self, entry: Entry) {
        let mut file = self.file.lock().expect("a file");
        let at = self.now();
        let line = serde_json::to_string(&Line { at, entry }).expect("JSON");
        writeln!(file, "{line}").expect("a history");
    }

    pub fn flush(&self) {
        let flushed = self.file.lock().expect("a file").flush();
        flushed.expect("a history");
    }
}

/// Reads a history back.
pub fn read(path: &Path) -> Vec<Line> {
    let file = BufReader::new(File::open(path).expect("a history"));
    let lines = file.lines().map(|line| line.expect("text"));
    lines
        .map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

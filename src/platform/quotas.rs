//! Quotas: how much a user and a brokerage may have at a time.
//!
//! What is stored is counted by triggers (`sql/functions/count_use.sql`), which know the limits from the
//! settings of the session. Streams and long polls are counted in memory.

use std::fmt;

use clap::Args;

mod usage;

pub use usage::QuotaUse;

/// The SQLSTATE of a statement that would exceed a quota.
const SQLSTATE: &str = "PLQ01";

/// The limits; 0 is none. What a person does counts for the person and the brokerage, what a service does
/// for the brokerage only.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Quotas")]
pub struct QuotaSettings {
    /// Tasks of one user that have not ended. 0: no limit
    #[arg(long, env = "PORCHLIGHT_TASKS_PER_USER", value_name = "N",
        default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub tasks_per_user: u32,

    /// Tasks of one brokerage that have not ended. 0: no limit
    #[arg(long, env = "PORCHLIGHT_TASKS_PER_BROKERAGE", value_name = "N",
        default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub tasks_per_brokerage: u32,

    /// Locks that one user holds. 0: no limit
    #[arg(long, env = "PORCHLIGHT_LOCKS_PER_USER", value_name = "N",
        default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub locks_per_user: u32,

    /// Locks that all users of one brokerage hold. 0: no limit
    #[arg(long, env = "PORCHLIGHT_LOCKS_PER_BROKERAGE", value_name = "N",
        default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub locks_per_brokerage: u32,

    /// Stored notifications that one user has posted. 0: no limit
    #[arg(long, env = "PORCHLIGHT_NOTIFICATIONS_PER_USER", value_name = "N",
        default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub notifications_per_user: u32,

    /// Stored notifications that the users of one brokerage have posted. 0: no limit
    #[arg(long, env = "PORCHLIGHT_NOTIFICATIONS_PER_BROKERAGE", value_name = "N",
        default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub notifications_per_brokerage: u32,

    /// Unread notifications of one user, after which no further ones to this user alone are created.
    /// 0: no limit
    #[arg(long, env = "PORCHLIGHT_UNREAD_PER_USER", value_name = "N",
        default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub unread_per_user: u32,

    /// Unread notifications of all users of one brokerage, each to one user alone. 0: no limit
    #[arg(long, env = "PORCHLIGHT_UNREAD_PER_BROKERAGE", value_name = "N",
        default_value_t = 500_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub unread_per_brokerage: u32,

    /// Idempotency keys of one user in 24 hours. 0: no limit
    #[arg(long, env = "PORCHLIGHT_KEYS_PER_USER", value_name = "N",
        default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub keys_per_user: u32,

    /// Idempotency keys of all users of one brokerage in 24 hours. 0: no limit
    #[arg(long, env = "PORCHLIGHT_KEYS_PER_BROKERAGE", value_name = "N",
        default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub keys_per_brokerage: u32,

    /// Files that one user has uploaded and that are still stored
    #[arg(long, env = "PORCHLIGHT_UPLOADS_PER_USER", value_name = "N",
        default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub uploads_per_user: u32,

    /// Files that the users of one brokerage have uploaded and that are still stored. 0: no limit
    #[arg(long, env = "PORCHLIGHT_UPLOADS_PER_BROKERAGE", value_name = "N",
        default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub uploads_per_brokerage: u32,

    /// Streams that one brokerage has open at this instance. 0: no limit
    #[arg(long, env = "PORCHLIGHT_STREAMS_PER_BROKERAGE", value_name = "N",
        default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub streams_per_brokerage: u32,

    /// Requests of one user that wait for events at this instance. 0: no limit
    #[arg(long, env = "PORCHLIGHT_POLLS_PER_USER", value_name = "N",
        default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub polls_per_user: u32,

    /// Requests of one brokerage that wait for events or tasks at this instance. 0: no limit
    #[arg(long, env = "PORCHLIGHT_POLLS_PER_BROKERAGE", value_name = "N",
        default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub polls_per_brokerage: u32,
}

impl QuotaSettings {
    /// The limit of a user or of a brokerage, if there is one.
    #[must_use]
    pub fn most(&self, kind: QuotaKind, scope: QuotaScope) -> Option<u32> {
        let (user, brokerage) = match kind {
            QuotaKind::Tasks => (self.tasks_per_user, self.tasks_per_brokerage),
            QuotaKind::Locks => (self.locks_per_user, self.locks_per_brokerage),
            QuotaKind::Notifications => (
                self.notifications_per_user,
                self.notifications_per_brokerage,
            ),
            QuotaKind::Unread => (self.unread_per_user, self.unread_per_brokerage),
            QuotaKind::Keys => (self.keys_per_user, self.keys_per_brokerage),
            QuotaKind::Uploads => (self.uploads_per_user, self.uploads_per_brokerage),
            QuotaKind::Polls => (self.polls_per_user, self.polls_per_brokerage),
        };
        let most = match scope {
            QuotaScope::User => user,
            QuotaScope::Brokerage => brokerage,
        };
        (most > 0).then_some(most)
    }

    /// The statements that tell a session of the database its limits. Stored uploads of a user are
    /// counted before the triggers do: an old one makes room for a new one.
    pub(super) fn session(&self) -> String {
        let set = |(name, limit)| format!("set porchlight.{name} = '{limit}'; ");
        self.of_session().into_iter().map(set).collect()
    }

    fn of_session(&self) -> [(&'static str, u32); 10] {
        [
            ("tasks_per_user", self.tasks_per_user),
            ("tasks_per_brokerage", self.tasks_per_brokerage),
            ("locks_per_user", self.locks_per_user),
            ("locks_per_brokerage", self.locks_per_brokerage),
            ("notifications_per_user", self.notifications_per_user),
            (
                "notifications_per_brokerage",
                self.notifications_per_brokerage,
            ),
            ("unread_per_brokerage", self.unread_per_brokerage),
            ("keys_per_user", self.keys_per_user),
            ("keys_per_brokerage", self.keys_per_brokerage),
            ("uploads_per_brokerage", self.uploads_per_brokerage),
        ]
    }
}

/// The settings of a session that have limits.
pub(super) fn session_settings() -> impl Iterator<Item = String> {
    let settings = QuotaSettings::default().of_session().into_iter();
    settings.map(|(name, _)| format!("porchlight.{name}"))
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaKind {
    Tasks,
    Locks,
    Notifications,
    Unread,
    Keys,
    Uploads,
    Polls,
}

impl QuotaKind {
    pub const ALL: [Self; 7] = [
        Self::Tasks,
        Self::Locks,
        Self::Notifications,
        Self::Unread,
        Self::Keys,
        Self::Uploads,
        Self::Polls,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Locks => "locks",
            Self::Notifications => "notifications",
            Self::Unread => "unread",
            Self::Keys => "keys",
            Self::Uploads => "uploads",
            Self::Polls => "polls",
        }
    }
}

/// Whose quota it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaScope {
    User,
    Brokerage,
}

impl QuotaScope {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Brokerage => "brokerage",
        }
    }
}

/// A quota that a request would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaExceeded {
    pub kind: QuotaKind,
    pub scope: QuotaScope,
    pub limit: u64,
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, scope, limit } = self;
        let (kind, scope) = (kind.as_str(), scope.as_str());
        write!(f, "a {scope} has {limit} {kind} at the most")
    }
}

impl std::error::Error for QuotaExceeded {}

impl QuotaExceeded {
    /// The quota that a trigger names in its error.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Option<Self> {
        let refusal = error.as_database_error()?;
        if refusal.code().as_deref() != Some(SQLSTATE) {
            return None;
        }
        let detail = refusal.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
        Self::named(refusal.constraint()?, detail.detail()?)
    }

    fn named(quota: &str, limit: &str) -> Option<Self> {
        let (kind, scope) = quota.split_once("_per_")?;
        let named = |known: &QuotaKind| known.as_str() == kind;
        Some(Self {
            kind: QuotaKind::ALL.into_iter().find(named)?,
            scope: match scope {
                "user" => QuotaScope::User,
                "brokerage" => QuotaScope::Brokerage,
                _ => return None,
            },
            limit: limit.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_nothing_is_none() {
        let settings = QuotaSettings {
            locks_per_user: 3,
            ..QuotaSettings::default()
        };
        for kind in QuotaKind::ALL {
            let expected = (kind == QuotaKind::Locks).then_some(3);
            assert_eq!(settings.most(kind, QuotaScope::User), expected);
            assert_eq!(settings.most(kind, QuotaScope::Brokerage), None);
        }
    }

    #[test]
    fn the_quota_of_an_error_is_found_by_its_name() {
        for kind in QuotaKind::ALL {
            for scope in [QuotaScope::User, QuotaScope::Brokerage] {
                let quota = format!("{}_per_{}", kind.as_str(), scope.as_str());
                let limit = 7;
                let expected = QuotaExceeded { kind, scope, limit };
                assert_eq!(QuotaExceeded::named(&quota, "7"), Some(expected));
            }
        }
        for (quota, limit) in [
            ("tasks", "7"),
            ("tasks_per_team", "7"),
            ("cars_per_user", "7"),
            ("tasks_per_user", "x"),
        ] {
            assert_eq!(QuotaExceeded::named(quota, limit), None, "{quota} {limit}");
        }
    }
}

//! The rules of alerts: what is wrong, and what to do.

use serde::{Deserialize, Serialize};

/// The name of a rule on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleName {
    DatabaseUnreachable,
    FollowerLag,
    Memory,
    StreamsFull,
    PoolWaiting,
    NoEvents,
    Latency,
    Refusals,
    Resets,
    ClientDisconnected,
    RelayLag,
    Poison,
    TasksWaiting,
    TasksFailing,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleScope {
    Instance,
    Brokerage,
}

#[derive(Debug)]
pub struct Rule {
    pub name: RuleName,
    /// The same as text, for the log and metrics.
    pub text_name: &'static str,
    pub scope: RuleScope,
    /// Of the value and the threshold.
    pub unit: &'static str,
    pub setting: &'static str,
    /// What is wrong.
    pub text: &'static str,
    /// What to do.
    pub action: &'static str,
}

impl RuleName {
    #[must_use]
    pub fn rule(self) -> &'static Rule {
        // The order is that of the names, as a test checks.
        &RULES[self as usize]
    }
}

macro_rules! rules {
    ($($name:ident $text_name:literal $scope:ident $unit:literal $setting:literal: $text:literal, $action:literal;)+) => {
        pub const RULES: &[Rule] = &[$(Rule {
            name: RuleName::$name,
            text_name: $text_name,
            scope: RuleScope::$scope,
            unit: $unit,
            setting: $setting,
            text: $text,
            action: $action,
        }),+];
    };
}

rules! {
    DatabaseUnreachable "database_unreachable" Instance "s" "PORCHLIGHT_ALERT_DATABASE_SECONDS":
        "The instance has not read the database for this long.",
        "Look whether Postgres runs and can be reached from the instance. Its streams end after PORCHLIGHT_UNAVAILABLE_SECONDS.";
    FollowerLag "follower_lag" Instance "ms" "PORCHLIGHT_ALERT_LAG_MS":
        "An event came to the instance's memory this long after its commit.",
        "Look at the load of the database and of the instance. If notices are lost, lower PORCHLIGHT_POLL_MS.";
    Memory "memory" Instance "MB" "PORCHLIGHT_ALERT_MEMORY_MB":
        "The process uses this much memory.",
        "Compare with the number of streams. Lower PORCHLIGHT_MEMORY_MB or PORCHLIGHT_MAX_STREAMS, or add an instance.";
    StreamsFull "streams_full" Instance "%" "PORCHLIGHT_ALERT_STREAMS_PERCENT":
        "This share of the streams that the instance accepts is open.",
        "Add an instance, or raise PORCHLIGHT_MAX_STREAMS and the limit of open files.";
    PoolWaiting "pool_waiting" Instance "requests" "PORCHLIGHT_ALERT_POOL_WAITING":
        "So many requests wait for a connection to the database.",
        "Look for slow statements in pg_stat_activity. Raise PORCHLIGHT_DATABASE_CONNECTIONS if the database has room.";
    NoEvents "no_events" Brokerage "min" "PORCHLIGHT_ALERT_NO_EVENTS_MINUTES":
        "Streams are open, and there was no event for this long.",
        "At night this is normal. Otherwise look whether the backend publishes and whether its tables are still watched (porchlight.watched()).";
    Latency "latency" Brokerage "ms" "PORCHLIGHT_ALERT_LATENCY_MS":
        "One event in a hundred takes this long from its commit to the streams.",
        "Look at follower_lag, at clients that are behind in the list of connections, and at the load of the instance.";
    Refusals "refusals" Brokerage "/min" "PORCHLIGHT_ALERT_REFUSALS_PER_MINUTE":
        "So many requests were refused in the last minute.",
        "The codes say why: a client that repeats a refused request must be changed.";
    Resets "resets" Brokerage "/min" "PORCHLIGHT_ALERT_RESETS_PER_MINUTE":
        "So many streams could not continue where they were, and their clients load everything again.",
        "Raise PORCHLIGHT_RETENTION_HOURS or PORCHLIGHT_RETENTION_EVENTS. After a restored database this is expected.";
    ClientDisconnected "client_disconnected" Brokerage "s" "PORCHLIGHT_ALERT_DISCONNECTED_SECONDS":
        "Clients lost their connection without closing it, and have not come back for this long.",
        "The subjects are the users. For a service or worker, look whether it runs; for a person, whether the network does.";
    RelayLag "relay_lag" Brokerage "s" "PORCHLIGHT_ALERT_RELAY_SECONDS":
        "A change of a watched table has waited this long for the log.",
        "Look for long transactions that lock porchlight.outbox or the brokerage's row in porchlight.brokers.";
    Poison "poison" Brokerage "rows" "PORCHLIGHT_ALERT_POISON_ROWS":
        "So many changes of watched tables could not become events and were set aside.",
        "GET /admin/poison says why. Correct the cause, and retry or discard each row. Rows that name no valid brokerage are only in the table porchlight.poison: delete them there (docs/TROUBLESHOOTING.md).";
    TasksWaiting "tasks_waiting" Brokerage "s" "PORCHLIGHT_ALERT_TASK_WAIT_SECONDS":
        "A task has waited this long for a worker.",
        "Look whether workers for its type run, and whether they are enough.";
    TasksFailing "tasks_failing" Brokerage "/h" "PORCHLIGHT_ALERT_TASK_FAILURES_PER_HOUR":
        "So many tasks have failed in the last hour.",
        "GET /tasks?state=failed has their errors.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_leads_to_its_rule_and_is_the_same_on_the_wire() {
        for (at, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.name as usize, at);
            assert_eq!(rule.name.rule().name, rule.name);
            let wire = serde_json::to_value(rule.name).unwrap();
            assert_eq!(wire, rule.text_name);
        }
        assert_eq!(RuleName::TasksFailing as usize + 1, RULES.len());
    }
}

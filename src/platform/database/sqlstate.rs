//! What the SQLSTATE of an error says.

use std::borrow::Cow;

use sqlx::error::DatabaseError;

/// Codes of a connection or a server that is going away begin like this. A cancelled statement (57014) is not among
/// them: its connection is as good as before. 25006 comes from a standby, which a pooler may have put behind the
/// connection; with 25P03 and 25P04 the server ends a session whose transaction was idle or took too long.
const GOING_AWAY: [&str; 7] = ["08", "57P", "58", "XX", "25006", "25P03", "25P04"];
/// A statement that took too long, or that somebody cancelled.
const CANCELLED: &str = "57014";
/// The class of a server without space, memory or connections.
const NO_RESOURCES: &str = "53";
/// Classes of a lock timeout, of a deadlock, and of a server without resources; and a cancelled statement.
const TRANSIENT: [&str; 4] = ["55", "40", NO_RESOURCES, CANCELLED];
/// A lock timeout and a deadlock.
const CONTENDED: [&str; 2] = ["55P03", "40P01"];

/// Whether the database refused a statement: then it did not happen. After any other error it may have
/// happened or not.
#[must_use]
pub fn is_refusal(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| !begins_with_any(&code, &GOING_AWAY))
}

/// Whether a refusal has a cause that passes: the same statement may succeed later.
#[must_use]
pub fn is_transient(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| begins_with_any(&code, &TRANSIENT))
}

/// Whether the same statement may succeed later: the database was not reached, or refused it for a cause that passes.
#[must_use]
pub fn may_succeed_later(error: &sqlx::Error) -> bool {
    !is_refusal(error) || is_transient(error)
}

/// Whether the server lacks space, memory or connections.
#[must_use]
pub fn lacks_resources(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code.starts_with(NO_RESOURCES))
}

/// Whether the server cancelled the statement, because it took too long or because somebody asked for it.
#[must_use]
pub fn is_cancelled(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == CANCELLED)
}

/// Whether another transaction has the row.
#[must_use]
pub fn is_contended(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| CONTENDED.contains(&&*code))
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(DatabaseError::code)
}

fn begins_with_any(code: &str, classes: &[&str]) -> bool {
    classes.iter().any(|class| code.starts_with(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_and_a_session_that_the_server_ends_are_going_away() {
        for code in ["08006", "57P01", "25006", "25P03", "25P04", "XX000"] {
            assert!(begins_with_any(code, &GOING_AWAY), "{code}");
        }
        for code in ["57014", "25001", "25P02", "23505", "55P03"] {
            assert!(!begins_with_any(code, &GOING_AWAY), "{code}");
        }
    }
}

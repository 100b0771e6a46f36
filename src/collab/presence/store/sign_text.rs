//! Parts of a sign as texts, for the table and for messages.

use std::sync::Arc;

use crate::collab::presence::moment::Moment;
use crate::collab::presence::sign_of_life::{OpenedAt, RecordInUse, Session};
use crate::platform::TeamId;

/// The session of streams that do not make their user present. It is no name of a session, so versions that do
/// not know it skip the row.
const UNSEEN: &str = "*";

pub(super) fn session_text(session: &Session) -> &str {
    match session {
        Session::Streams => "",
        Session::Unseen => UNSEEN,
        Session::Named(name) => name.as_str(),
    }
}

/// `None` if no version of this service can have written the text.
pub(super) fn parse_session(text: &str) -> Option<Session> {
    Some(match text {
        "" => Session::Streams,
        UNSEEN => Session::Unseen,
        name => Session::Named(name.parse().ok()?),
    })
}

pub(super) fn teams_text(teams: &[TeamId]) -> String {
    let teams: Vec<_> = teams.iter().map(TeamId::as_str).collect();
    teams.join(",")
}

pub(super) fn parse_teams(text: &str) -> Arc<[TeamId]> {
    let teams = text.split(',').filter(|team| !team.is_empty());
    teams.filter_map(|team| team.parse().ok()).collect()
}

pub(super) fn streams_text(streams: &[OpenedAt]) -> String {
    let streams: Vec<_> = streams.iter().map(ToString::to_string).collect();
    streams.join(",")
}

pub(super) fn parse_streams(text: &str) -> Arc<[OpenedAt]> {
    let streams = text.split(',').filter_map(|at| at.parse().ok());
    streams.collect()
}

/// `None`: the session has no record open, or the texts are of a version that this one does not know.
pub(super) fn parse_record(
    record: Option<String>,
    audience: Option<String>,
    now: Moment,
) -> Option<RecordInUse> {
    Some(RecordInUse {
        record: record?.parse().ok()?,
        audience: audience?.parse().ok()?,
        looked_up_at: now,
    })
}

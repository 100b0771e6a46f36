//! A row of the table.

use super::sign_text::{parse_record, parse_session, parse_streams, parse_teams};
use super::{PresenceKey, StoredSign};
use crate::collab::presence::moment::Moment;
use crate::collab::presence::sign_of_life::SignOfLife;

/// A row as it is read. Its times are milliseconds from then on.
pub(super) struct SignRow {
    pub(super) broker_id: String,
    pub(super) user_id: String,
    pub(super) session: String,
    pub(super) instance: String,
    pub(super) flush: i64,
    pub(super) teams: String,
    pub(super) status: String,
    pub(super) viewing: Option<String>,
    pub(super) viewing_audience: Option<String>,
    pub(super) editing: Option<String>,
    pub(super) editing_audience: Option<String>,
    pub(super) streams: String,
    pub(super) said_in: i64,
    pub(super) active_in: i64,
    pub(super) ends_in: Option<i64>,
}

impl SignRow {
    /// `None` if no version of this service can have written the row.
    pub(super) fn parse(self, now: Moment) -> Option<StoredSign> {
        let key = PresenceKey {
            session: parse_session(&self.session)?,
            broker: self.broker_id.parse().ok()?,
            user: self.user_id.parse().ok()?,
        };
        let sign = SignOfLife {
            streams: parse_streams(&self.streams),
            teams: parse_teams(&self.teams),
            status: self.status.parse().ok()?,
            viewing: parse_record(self.viewing, self.viewing_audience, now).map(Box::new),
            editing: parse_record(self.editing, self.editing_audience, now).map(Box::new),
            noticed_at: now.plus_ms(self.said_in),
            active_at: now.plus_ms(self.active_in),
            ends_at: self.ends_in.map(|ends_in| now.plus_ms(ends_in)),
        };
        Some(StoredSign {
            key,
            instance: self.instance.into(),
            flush: self.flush,
            sign,
        })
    }
}

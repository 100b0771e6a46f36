//! Signs as columns, so that one statement writes many.

use super::KeyedSign;
use super::sign_text::{session_text, streams_text, teams_text};
use crate::collab::presence::moment::Moment;
use crate::collab::presence::sign_of_life::{RecordInUse, Status};

/// The records that signs have open, and who may see them.
#[derive(Default)]
pub(super) struct RecordColumns {
    pub(super) records: Vec<Option<String>>,
    pub(super) audiences: Vec<Option<String>>,
}

impl RecordColumns {
    fn push(&mut self, in_use: Option<&RecordInUse>) {
        self.records
            .push(in_use.map(|in_use| in_use.record.to_string()));
        self.audiences
            .push(in_use.map(|in_use| in_use.audience.to_string()));
    }
}

/// Signs as arrays of one statement. Their times are milliseconds from then on.
#[derive(Default)]
pub(super) struct SignColumns<'a> {
    pub(super) broker: Vec<&'a str>,
    pub(super) user: Vec<&'a str>,
    pub(super) session: Vec<&'a str>,
    pub(super) teams: Vec<String>,
    pub(super) status: Vec<&'a str>,
    pub(super) viewing: RecordColumns,
    pub(super) editing: RecordColumns,
    pub(super) said_in: Vec<i64>,
    pub(super) active_in: Vec<i64>,
    pub(super) ends_in: Vec<Option<i64>>,
    pub(super) streams: Vec<String>,
}

impl<'a> SignColumns<'a> {
    pub(super) fn of(signs: &'a [KeyedSign], now: Moment) -> Self {
        let mut columns = Self::default();
        for sign in signs {
            columns.push(sign, now);
        }
        columns
    }

    fn push(&mut self, KeyedSign { key, sign }: &'a KeyedSign, now: Moment) {
        self.broker.push(key.broker.as_str());
        self.user.push(key.user.as_str());
        self.session.push(session_text(&key.session));
        self.teams.push(teams_text(&sign.teams));
        self.status.push(Status::as_str(sign.status));
        self.viewing.push(sign.viewing.as_deref());
        self.editing.push(sign.editing.as_deref());
        self.said_in.push(sign.noticed_at.ms_after(now));
        self.active_in.push(sign.active_at.ms_after(now));
        self.ends_in.push(sign.ends_at.map(|end| end.ms_after(now)));
        self.streams.push(streams_text(&sign.streams));
    }
}

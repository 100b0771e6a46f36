//! Updates of the same record in one write are one event: the last value of each field wins.

use std::collections::BTreeMap;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use serde_json::value::{RawValue, to_raw_value};

use crate::fanout::{EncodedEvent, Frame, StreamEncoding, Visibility};
use crate::log::Epoch;
use crate::platform::{EventType, RecordPath};
use crate::stream::wire;

const UPDATED: &str = "updated";
/// The objects whose fields are merged. Of everything else, the last event has the say.
const MERGED_PARTS: [&str; 2] = ["changes", "data"];
/// The events of one write have at most this many bytes before they are merged. It limits the work, and
/// the size of a merged event.
const MOST_TAKEN_BYTES: usize = 256 * 1_024;

/// Whether an event can wait for others, to be merged with them.
pub(super) fn is_update(event: &EncodedEvent) -> bool {
    event.record.is_some() && EventType::action_of(event.event_type()) == UPDATED
}

pub(super) struct MergedUpdates {
    encoding: StreamEncoding,
    epoch: Epoch,
    events: Vec<MergedEvent>,
    /// The place of each record's newest update. Other events are in nobody's way then: they empty it.
    newest: FxHashMap<RecordPath, usize>,
    taken_bytes: usize,
    len: usize,
}

/// One event, or several that were merged.
struct MergedEvent {
    first: i64,
    last: i64,
    event_type: Box<str>,
    /// The first event as it is.
    bytes: Bytes,
    /// The JSON of the first event, until there are others.
    json: String,
    merged: Option<Fields>,
}

type Fields = BTreeMap<String, Box<RawValue>>;

impl MergedUpdates {
    pub(super) fn new(encoding: StreamEncoding, epoch: Epoch) -> Self {
        Self {
            encoding,
            epoch,
            events: Vec::new(),
            newest: FxHashMap::default(),
            taken_bytes: 0,
            len: 0,
        }
    }

    /// How many events the client gets.
    pub(super) fn events(&self) -> u64 {
        self.events.len() as u64
    }

    /// Adds the next event. Returns `false` if the write has no room for it.
    pub(super) fn add(&mut self, frame: &Frame, visibility: Visibility, limit: usize) -> bool {
        let event = &frame.encoded;
        let json = event.json(visibility);
        let is_first = self.events.is_empty();
        if !is_first && self.taken_bytes + json.len() > MOST_TAKEN_BYTES {
            return false;
        }
        let record = event.record.as_ref().filter(|_| is_update(event));
        let newest = record.and_then(|record| self.newest.get(record));
        if let Some(newest) = newest.and_then(|at| self.events.get_mut(*at))
            && *newest.event_type == *event.event_type()
            && newest.merge(frame.position, json)
        {
            self.taken_bytes += json.len();
            return true;
        }
        let bytes = event.bytes(self.encoding, visibility);
        if !is_first && self.len + bytes.len() > limit {
            return false;
        }
        match record {
            Some(record) => drop(self.newest.insert(record.clone(), self.events.len())),
            None => self.newest.clear(),
        }
        self.taken_bytes += json.len();
        self.len += bytes.len();
        self.events.push(MergedEvent {
            first: frame.position,
            last: frame.position,
            event_type: event.event_type().into(),
            bytes,
            json: json.to_owned(),
            merged: None,
        });
        true
    }

    /// The events in the order of their first parts. The id of each is a position up to which the client
    /// has everything: a merged event is not counted as received beyond the next event's first part.
    pub(super) fn into_bytes(self) -> Option<Bytes> {
        let mut reached = 0;
        let mut events = Vec::with_capacity(self.events.len());
        for (at, event) in self.events.iter().enumerate() {
            reached = event.last.max(reached);
            let next = self.events.get(at + 1);
            let id = next.map_or(reached, |next| reached.min(next.first - 1));
            events.push(event.bytes(self.encoding, &self.epoch, id));
        }
        match events.len() {
            0 => None,
            1 => events.pop(),
            _ => Some(events.concat().into()),
        }
    }
}

impl MergedEvent {
    /// Merges a later update of the same record into this one, unless either of them was too large for its
    /// data.
    fn merge(&mut self, position: i64, json: &str) -> bool {
        let Some(mut newer) = fields(json) else {
            return false;
        };
        let Some(older) = self.merged.take().or_else(|| fields(&self.json)) else {
            return false;
        };
        if newer.contains_key("truncated") || older.contains_key("truncated") {
            self.merged = Some(older);
            return false;
        }
        for part in MERGED_PARTS {
            if let Some(older) = older.get(part) {
                merge_part(&mut newer, part, older);
            }
        }
        self.merged = Some(newer);
        self.last = position;
        true
    }

    fn bytes(&self, encoding: StreamEncoding, epoch: &Epoch, id: i64) -> Bytes {
        if self.merged.is_none() && id == self.first {
            return self.bytes.clone();
        }
        let merged = self.merged.as_ref().map(serde_json::to_string);
        let json = merged.and_then(Result::ok);
        let json = json.as_deref().unwrap_or(&self.json);
        let text = wire::logged(
            encoding.named.then_some(&*self.event_type),
            json,
            &epoch.at(id),
        );
        wire::encoded(encoding, &text)
    }
}

/// Adds the fields of an older object that a newer one does not have.
fn merge_part(newer: &mut Fields, part: &str, older: &RawValue) {
    let merged = match newer.get(part) {
        None => Some(older.to_owned()),
        Some(value) => fields(older.get())
            .zip(fields(value.get()))
            .and_then(|(mut all, last)| {
                all.extend(last);
                to_raw_value(&all).ok()
            }),
    };
    // What is not an object is a value by itself: the last one wins.
    if let Some(merged) = merged {
        newer.insert(part.to_owned(), merged);
    }
}

/// The fields of an object. Their values stay as they are written.
fn fields(json: &str) -> Option<Fields> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests;

//! Updates of the same record in one write are one event: the last value of each field wins.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::fanout::{EncodedEvent, Frame, StreamEncoding, Visibility};
use crate::log::Epoch;
use crate::platform::{EventType, RecordPath};
use crate::stream::wire;

const UPDATED: &str = "updated";
/// The objects whose fields are merged. Of everything else, the last event has the say.
const MERGED_PARTS: [&str; 2] = ["changes", "data"];
/// The events of one write have at most this many bytes before they are merged. It limits the work, and
/// the size of a merged event.
pub(super) const MOST_TAKEN_BYTES: usize = 256 * 1_024;
/// A larger event fills a write alone. It stays as it is, and each stream passes on the same bytes.
pub(super) const MOST_MERGED_BYTES: usize = 32 * 1_024;

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
    first: Arc<Frame>,
    visibility: Visibility,
    /// The position of the newest one.
    last: i64,
    merged: Option<MergedBody>,
}

/// The JSON of several updates. It becomes text once, however many they are.
#[derive(Serialize)]
struct MergedBody(BTreeMap<String, BodyPart>);

#[derive(Serialize)]
#[serde(untagged)]
enum BodyPart {
    Fields(Fields),
    Value(Box<RawValue>),
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
    pub(super) fn add(&mut self, frame: &Arc<Frame>, visibility: Visibility, limit: usize) -> bool {
        let event = &frame.encoded;
        let json = event.json(visibility);
        let is_first = self.events.is_empty();
        if !is_first && self.taken_bytes + json.len() > MOST_TAKEN_BYTES {
            return false;
        }
        let record = event.record.as_ref().filter(|_| is_update(event));
        let newest = record.and_then(|record| self.newest.get(record));
        if let Some(newest) = newest.and_then(|at| self.events.get_mut(*at))
            && newest.event_type() == event.event_type()
            && newest.merge(frame.position, json)
        {
            self.taken_bytes += json.len();
            return true;
        }
        let bytes = event.bytes(self.encoding, visibility).len();
        if !is_first && self.len + bytes > limit {
            return false;
        }
        match record {
            Some(record) => drop(self.newest.insert(record.clone(), self.events.len())),
            None => self.newest.clear(),
        }
        self.taken_bytes += json.len();
        self.len += bytes;
        self.events.push(MergedEvent::of(frame, visibility));
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
            let id = next.map_or(reached, |next| reached.min(next.first.position - 1));
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
    fn of(frame: &Arc<Frame>, visibility: Visibility) -> Self {
        Self {
            first: Arc::clone(frame),
            visibility,
            last: frame.position,
            merged: None,
        }
    }

    fn event_type(&self) -> &str {
        self.first.encoded.event_type()
    }

    /// The JSON of the first event.
    fn json(&self) -> &str {
        self.first.encoded.json(self.visibility)
    }

    /// Merges a later update of the same record into this one, unless either of them stays as it is.
    fn merge(&mut self, position: i64, json: &str) -> bool {
        let Some(newer) = MergedBody::parse(json) else {
            return false;
        };
        let merged = self.merged.take();
        let Some(mut merged) = merged.or_else(|| MergedBody::parse(self.json())) else {
            return false;
        };
        merged.merge(newer);
        self.merged = Some(merged);
        self.last = position;
        true
    }

    fn bytes(&self, encoding: StreamEncoding, epoch: &Epoch, id: i64) -> Bytes {
        if self.merged.is_none() && id == self.first.position {
            return self.first.encoded.bytes(encoding, self.visibility);
        }
        let merged = self.merged.as_ref().map(serde_json::to_string);
        let json = merged.and_then(Result::ok);
        let json = json.as_deref().unwrap_or(self.json());
        let name = encoding.named.then_some(self.event_type());
        wire::encoded(encoding, &wire::logged(name, json, &epoch.at(id)))
    }
}

impl MergedBody {
    /// `None`: the event is too large to be merged, or was too large for its data.
    fn parse(json: &str) -> Option<Self> {
        if json.len() > MOST_MERGED_BYTES {
            return None;
        }
        let fields = fields(json)?;
        if fields.contains_key("truncated") {
            return None;
        }
        let parts = fields.into_iter().map(|(name, value)| {
            let part = BodyPart::of(&name, value);
            (name, part)
        });
        Some(Self(parts.collect()))
    }

    /// Everything is the newer event's, except for the fields of the merged parts that it does not have.
    fn merge(&mut self, newer: Self) {
        let older = std::mem::replace(&mut self.0, newer.0);
        for (name, older) in older {
            if MERGED_PARTS.contains(&&*name) {
                merge_part(&mut self.0, name, older);
            }
        }
    }
}

impl BodyPart {
    fn of(name: &str, value: Box<RawValue>) -> Self {
        let is_merged = MERGED_PARTS.contains(&name);
        match is_merged.then(|| fields(value.get())).flatten() {
            Some(fields) => Self::Fields(fields),
            None => Self::Value(value),
        }
    }
}

/// Adds the fields of an older part that the newer one does not have.
fn merge_part(body: &mut BTreeMap<String, BodyPart>, name: String, older: BodyPart) {
    match (older, body.get_mut(&name)) {
        (older, None) => drop(body.insert(name, older)),
        (BodyPart::Fields(mut all), Some(BodyPart::Fields(last))) => {
            // The larger one stays in place: only the fields of the newer one cost something.
            all.extend(std::mem::take(last));
            *last = all;
        }
        // What is not an object is a value by itself: the last one wins.
        (_, Some(_)) => {}
    }
}

/// The fields of an object. Their values stay as they are written.
fn fields(json: &str) -> Option<Fields> {
    #[cfg(test)]
    tests::PARSED_BYTES.set(tests::PARSED_BYTES.get() + json.len());
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests;

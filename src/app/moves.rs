//! Who is told what happens in all logs: those who remember who sees a record.

use crate::collab::Presence;
use crate::collab::Signals;
use crate::directory::RecordAudiences;
use crate::log::Event;
use crate::log::LogObserver;
use crate::platform::BrokerId;

/// Tells them that a record is shown to others.
pub(super) struct Moves {
    pub(super) records: RecordAudiences,
    pub(super) presence: Presence,
    pub(super) signals: Signals,
}

impl std::fmt::Debug for Moves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Moves")
    }
}

impl LogObserver for Moves {
    fn saw(&self, broker: &BrokerId, events: &[Event]) {
        let shown = self.records.apply_events(broker, events);
        if !shown.is_empty() {
            self.presence.update_audiences(broker, &shown);
            self.signals.update_audiences(broker, &shown);
        }
    }

    fn missed(&self, broker: &BrokerId) {
        self.records.forget_brokerage(broker);
        self.presence.verify_audiences(broker);
        self.signals.forget_audiences(Some(broker));
    }

    fn missed_any(&self) {
        self.records.forget_all();
        self.presence.verify_all_audiences();
        self.signals.forget_audiences(None);
    }
}

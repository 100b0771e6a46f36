//! Applies changes of who may see a record to everything that remembers it.

use std::sync::Arc;

use crate::collab::Presence;
use crate::collab::Signals;
use crate::directory::RecordAudiences;
use crate::log::Event;
use crate::log::LogObserver;
use crate::platform::BrokerId;

pub(super) struct AudienceChanges {
    records: RecordAudiences,
    presence: Presence,
    signals: Signals,
}

impl AudienceChanges {
    pub(super) fn observer(
        records: &RecordAudiences,
        presence: &Presence,
        signals: &Signals,
    ) -> Arc<dyn LogObserver> {
        Arc::new(Self {
            records: records.clone(),
            presence: presence.clone(),
            signals: signals.clone(),
        })
    }
}

impl std::fmt::Debug for AudienceChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AudienceChanges")
    }
}

impl LogObserver for AudienceChanges {
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

//! Signs of life between instances, besides the table. The table has all of them: whoever misses a message
//! reads it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::PresenceSync;
use super::heard::HeardSigns;
use crate::collab::presence::store::{KeyedSign, PeerSigns};
use crate::log::PeerText;
use crate::platform::BrokerId;

/// Signs of one message. Of a larger write, the other instances learn that there is one.
const MOST_SENT: usize = 256;

impl PresenceSync {
    /// Sends what was just written, or that something was written.
    pub(super) fn tell_peers(&mut self, signs: &[KeyedSign]) {
        let peers = &self.parts.peer_notifier;
        if !peers.carries_contents() {
            return peers.presence(signs.iter().map(|sign| sign.key.broker.clone()));
        }
        let (now, mut messages) = (self.presence.now().moment, FxHashMap::default());
        for sign in signs {
            let broker = &sign.key.broker;
            let message = messages.entry(broker).or_insert_with(|| {
                let before = self.sent_flushes.replace(broker, self.flush);
                PeerSigns::new(&self.parts.instance, self.flush, before)
            });
            message.add(sign, now);
        }
        for (broker, message) in messages {
            if message.len() > MOST_SENT {
                peers.presence([broker.clone()]);
            } else {
                peers.signs(PeerText {
                    broker: broker.clone(),
                    text: message.encode(),
                });
            }
        }
    }

    /// Applies what another instance has written, or reads the table if something is missing.
    pub(super) fn hear(&mut self, PeerText { broker, text }: &PeerText) {
        let Some(signs) = PeerSigns::decode(text) else {
            return self.parts.peer_changes.notify_one();
        };
        if !self.is_loaded(broker) {
            return;
        }
        let instance = Arc::clone(&signs.instance);
        // An instance whose signs are known is watched.
        let read = *self.read_flushes.entry(Arc::clone(&instance)).or_default();
        let (flush, before) = (signs.flush, signs.before);
        match self
            .heard_flushes
            .hear(&instance, broker, flush, before, read)
        {
            HeardSigns::Old => {}
            HeardSigns::Next => {
                let now = self.presence.now().moment;
                self.apply_signs(signs.stored(broker, now));
            }
            HeardSigns::Gap => self.parts.peer_changes.notify_one(),
        }
    }

    fn is_loaded(&self, broker: &BrokerId) -> bool {
        self.presence.brokerages().contains_key(broker)
    }
}

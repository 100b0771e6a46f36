//! Who uses a brokerage in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::BrokerageFanout;

/// Keeps a brokerage in memory while it exists.
#[derive(Debug)]
pub struct BrokerageHandle(Arc<BrokerageFanout>);

impl BrokerageHandle {
    pub(super) fn new(brokerage: &Arc<BrokerageFanout>) -> Self {
        brokerage.handles.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(brokerage))
    }
}

impl std::ops::Deref for BrokerageHandle {
    type Target = BrokerageFanout;
    fn deref(&self) -> &BrokerageFanout {
        &self.0
    }
}

impl Clone for BrokerageHandle {
    fn clone(&self) -> Self {
        Self::new(&self.0)
    }
}

impl Drop for BrokerageHandle {
    fn drop(&mut self) {
        self.0.handles.fetch_sub(1, Ordering::Relaxed);
    }
}

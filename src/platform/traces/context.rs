//! The span that the current request belongs to.

use std::sync::Arc;

use otlp::{SpanContext, Traceparent};

tokio::task_local! {
    static CURRENT: Arc<SpanContext>;
}

/// Runs a request that belongs to this span.
pub async fn within<T>(span: SpanContext, request: impl Future<Output = T>) -> T {
    CURRENT.scope(Arc::new(span), request).await
}

/// The span of the current request, if it is sampled.
#[must_use]
pub fn current() -> Option<Arc<SpanContext>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// A span as it is stored with an event: the text of a `traceparent`.
#[must_use]
pub fn stored(text: Option<&str>) -> Option<Arc<SpanContext>> {
    let stored = Traceparent::parse(text?)?;
    stored.is_sampled.then(|| Arc::new(stored.context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_belongs_to_its_span_only() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let span = stored(Some(text)).unwrap();
        assert_eq!(current(), None);
        let seen = within(*span, async { current() }).await;
        assert_eq!(seen, Some(span));
        assert_eq!(current(), None);
    }

    #[test]
    fn a_span_that_is_not_sampled_is_none() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert_eq!(stored(Some(text)), None);
        assert_eq!(stored(Some("")), None);
        assert_eq!(stored(None), None);
    }
}

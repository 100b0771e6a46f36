//! A limit for handlers that wait for the database.

use std::pin::Pin;

use actix_web::{Handler, Responder};

use super::Problem;
use crate::platform::Limit;
use crate::platform::database::limited;
use crate::platform::telemetry::log_context;

/// A handler with a limit. When the database does not answer in time, the request is answered and its
/// connection closed.
#[derive(Clone)]
pub struct Limited<F> {
    pub handler: F,
    pub route: &'static str,
}

impl<F, Args> Handler<Args> for Limited<F>
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    F::Future: 'static,
{
    type Output = Result<F::Output, Problem>;
    type Future = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn call(&self, args: Args) -> Self::Future {
        log_context::found_route(self.route);
        // Boxed before it is wrapped: each wrapper would contain the whole future, and move it.
        let answer = Box::pin(self.handler.call(args));
        Box::pin(async move {
            let answer = limited(Limit::REQUEST, async { Ok(answer.await) });
            answer.await.map_err(|error| Problem::database(&error))
        })
    }
}

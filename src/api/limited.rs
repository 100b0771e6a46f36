//! Handlers that do not wait for the database without end.

use std::pin::Pin;

use actix_web::{Handler, Responder};

use super::Problem;
use crate::platform::Limit;
use crate::platform::database::limited;

/// A handler whose request is answered, and its connection given back, when the database does
/// not answer in time.
#[derive(Clone)]
pub struct Limited<F>(pub F);

impl<F, Args> Handler<Args> for Limited<F>
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    F::Future: 'static,
{
    type Output = Result<F::Output, Problem>;
    type Future = Pin<Box<dyn Future<Output = Self::Output>>>;

    fn call(&self, args: Args) -> Self::Future {
        let answer = self.0.call(args);
        Box::pin(async move {
            let answer = limited(Limit::REQUEST, async { Ok(answer.await) });
            answer.await.map_err(|error| Problem::database(&error))
        })
    }
}

//! Requests by route: how many, how they ended, how long they took. Routes are those of the table, never paths.

use std::fmt;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::{Method, StatusCode};
use tokio::time::Instant;

use super::routes;
use crate::platform::figures::Count;
use crate::platform::metrics::{Durations, MetricSource, MetricWriter};

/// The classes of status that answers have.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
/// The route of a request whose path or method matches none.
const NO_ROUTE: &str = "none";
/// The route of bytes that are not a request.
const UNREADABLE: &str = "unreadable";
/// The method where it does not matter.
const ANY_METHOD: &str = "any";

/// The figures of all routes. Cheap to clone. An answer costs three additions.
#[derive(Clone, Debug)]
pub struct RequestFigures(Arc<AllRoutes>);

#[derive(Debug)]
struct AllRoutes {
    /// In the order of the table of routes.
    routes: Vec<RouteFigures>,
    no_route: RouteFigures,
    unreadable: RouteFigures,
}

#[derive(Debug)]
struct RouteFigures {
    method: Option<Method>,
    route: &'static str,
    answers: [Count; CLASSES.len()],
    seconds: Durations,
}

impl RouteFigures {
    fn new(method: Option<Method>, route: &'static str) -> Self {
        Self {
            method,
            route,
            answers: Default::default(),
            seconds: Durations::default(),
        }
    }

    fn count(&self, status: StatusCode, began: Instant) {
        self.answers[class_index(status)].add(1);
        self.seconds.observe(began.elapsed());
    }

    fn method(&self) -> &str {
        self.method.as_ref().map_or(ANY_METHOD, Method::as_str)
    }

    /// Whether there was any request. A route without one has no samples.
    fn is_used(&self) -> bool {
        self.answers.iter().any(|count| count.get() > 0)
    }
}

impl RequestFigures {
    #[must_use]
    pub fn new() -> Self {
        let routes = routes::all().into_iter();
        let routes = routes.map(|endpoint| RouteFigures::new(Some(endpoint.method), endpoint.path));
        Self(Arc::new(AllRoutes {
            routes: routes.collect(),
            no_route: RouteFigures::new(None, NO_ROUTE),
            unreadable: RouteFigures::new(None, UNREADABLE),
        }))
    }

    /// Counts the answer to a request that came at `began`.
    pub(super) fn count(&self, request: &HttpRequest, status: StatusCode, began: Instant) {
        let place = routes::place(request);
        let route = place.and_then(|place| self.0.routes.get(place));
        route.unwrap_or(&self.0.no_route).count(status, began);
    }

    /// Counts the answer to bytes that are not a request.
    pub(super) fn count_unreadable(&self, status: StatusCode) {
        self.0.unreadable.count(status, Instant::now());
    }
}

impl Default for RequestFigures {
    fn default() -> Self {
        Self::new()
    }
}

impl MetricSource for RequestFigures {
    fn write(&self, to: &mut MetricWriter<'_>) -> fmt::Result {
        let AllRoutes {
            routes,
            no_route,
            unreadable,
        } = &*self.0;
        let used = || {
            let all = routes.iter().chain([no_route, unreadable]);
            all.filter(|route| route.is_used())
        };
        let help = "Requests by route, and the class of the status of their answers";
        let mut requests = to.counters("http_requests", help)?;
        for route in used() {
            for (class, count) in CLASSES.into_iter().zip(&route.answers) {
                let labels = [
                    ("method", route.method()),
                    ("route", route.route),
                    ("class", class),
                ];
                requests.add(&labels, count.get())?;
            }
        }
        let help = "Seconds from a request to the head of its answer, by route";
        let mut seconds = to.histograms("http_request_seconds", help)?;
        for route in used() {
            let labels = [("method", route.method()), ("route", route.route)];
            seconds.add(&labels, &route.seconds.counts())?;
        }
        Ok(())
    }
}

pub(super) fn class(status: StatusCode) -> &'static str {
    CLASSES[class_index(status)]
}

fn class_index(status: StatusCode) -> usize {
    match status.as_u16() {
        ..300 => 0,
        300..400 => 1,
        400..500 => 2,
        _ => 3,
    }
}

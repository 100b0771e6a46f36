//! The table of routes. A test compares `openapi.yaml` with it.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::LazyLock;

use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, Handler, HttpRequest, Resource, Responder, Route, Scope, guard, web};
use rustc_hash::FxHashSet;

use super::limited::Limited;
use super::problem::{Code, Problem};
use super::rate_limits::RequestCost;
use super::{
    activity, admin, console, demo, get_events, health, locks, notifications, openapi, people,
    post_events, post_signals, presence, records, sessions, streams, task_output, tasks,
    tasks_worker, uploads,
};

/// A method and a path with their handler.
pub struct Endpoint {
    pub method: Method,
    /// The path with variables: `/records/{module}`.
    pub path: &'static str,
    /// Whether HEAD is answered like GET, without the body.
    has_head: bool,
    /// The points that a request takes from the buckets of its caller.
    points: u32,
    is_stream: bool,
    route: Route,
}

/// The points of a request that only reads.
const READ_POINTS: u32 = 1;
/// The points of a request that writes.
const WRITE_POINTS: u32 = 2;
/// The points of a request that all instances answer together.
const REPORT_POINTS: u32 = 3;
/// The points of a request that causes much work afterwards.
const LARGE_POINTS: u32 = 10;

/// Defines one function per method.
macro_rules! methods {
    ($($name:ident: $method:ident, $points:expr, $is_stream:literal);+) => {$(
        fn $name<F, Args>(path: &'static str, handler: F) -> Endpoint
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            let route = web::method(Method::$method).to(Limited { handler, route: path });
            Endpoint {
                method: Method::$method,
                path,
                has_head: false,
                points: $points,
                is_stream: $is_stream,
                route,
            }
        }
    )+};
}

methods!(
    stream: GET, WRITE_POINTS, true;
    post: POST, WRITE_POINTS, false;
    put: PUT, WRITE_POINTS, false;
    patch: PATCH, WRITE_POINTS, false;
    delete: DELETE, WRITE_POINTS, false
);

impl Endpoint {
    fn costs(mut self, points: u32) -> Self {
        self.points = points;
        self
    }

    fn cost(&self) -> RequestCost {
        RequestCost {
            points: self.points,
            counts_for_brokerage: !self.is_stream,
        }
    }
}

/// The endpoints of a path.
#[derive(Clone)]
struct PathEndpoints(Vec<KnownEndpoint>);

/// What is told of an endpoint to its requests.
#[derive(Clone)]
struct KnownEndpoint {
    /// Its place in [`all`].
    place: usize,
    method: Method,
    cost: RequestCost,
}

fn endpoint_of(request: &HttpRequest) -> Option<&KnownEndpoint> {
    let known = request.app_data::<PathEndpoints>()?;
    let method = match *request.method() {
        Method::HEAD => &Method::GET,
        ref other => other,
    };
    known.0.iter().find(|endpoint| endpoint.method == method)
}

/// The points that a request takes.
pub(super) fn cost(request: &HttpRequest) -> RequestCost {
    endpoint_of(request).map_or(
        RequestCost {
            points: READ_POINTS,
            counts_for_brokerage: true,
        },
        |endpoint| endpoint.cost,
    )
}

/// The place in [`all`] of the endpoint that a request is for.
pub(super) fn place(request: &HttpRequest) -> Option<usize> {
    endpoint_of(request).map(|endpoint| endpoint.place)
}

/// Answers HEAD too. Streams do not: they have no end.
fn get<F, Args>(path: &'static str, handler: F) -> Endpoint
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let either = guard::Any(guard::Get()).or(guard::Head());
    Endpoint {
        method: Method::GET,
        path,
        has_head: true,
        points: READ_POINTS,
        is_stream: false,
        route: web::route().guard(either).to(Limited {
            handler,
            route: path,
        }),
    }
}

#[must_use]
pub fn all() -> Vec<Endpoint> {
    vec![
        get("/", console::crm),
        get("/inspector", console::inspector),
        get("/operations", console::operations),
        get("/console/{file}", console::file),
        stream("/stream", streams::all),
        stream("/stream/user", streams::user),
        stream("/stream/team", streams::team),
        stream("/stream/broker", streams::broker),
        stream("/stream/records/{module}/{id}", streams::record),
        get("/events", get_events::list),
        post("/events", post_events::publish),
        post("/presence/heartbeat", presence::heartbeat).costs(READ_POINTS),
        post("/presence/leave", presence::leave),
        get("/presence", presence::list),
        post("/signals", post_signals::send),
        get("/locks", locks::list),
        post("/locks", locks::acquire),
        delete("/locks/{module}/{id}", locks::release),
        post("/locks/{module}/{id}/renew", locks::renew),
        post("/locks/{module}/{id}/request", locks::request),
        post("/locks/{module}/{id}/takeover", locks::take_over),
        get("/session", sessions::get),
        post("/sessions/revoke", sessions::revoke),
        post("/sessions/renew", sessions::renew).costs(LARGE_POINTS),
        post("/sessions/ticket", sessions::ticket),
        stream("/stream/worker", streams::worker),
        get("/tasks", tasks::list),
        post("/tasks", tasks::create).costs(LARGE_POINTS),
        post("/tasks/claim", tasks_worker::claim),
        get("/tasks/{id}", tasks::find),
        post("/tasks/{id}/cancel", tasks::cancel),
        post("/tasks/{id}/retry", tasks::retry),
        post("/tasks/{id}/progress", tasks_worker::progress),
        post("/tasks/{id}/complete", tasks_worker::complete),
        post("/tasks/{id}/fail", tasks_worker::fail),
        post("/tasks/{id}/cancelled", tasks_worker::cancelled),
        stream("/tasks/{id}/output", task_output::read),
        post("/tasks/{id}/output", task_output::write),
        get("/notifications", notifications::list),
        post("/notifications", notifications::post),
        post("/notifications/{id}/read", notifications::read),
        post("/notifications/read-all", notifications::read_all),
        get("/notifications/preferences", notifications::preferences),
        put("/notifications/preferences", notifications::set_preferences),
        get("/activity", activity::list),
        get("/admin/overview", admin::overview).costs(REPORT_POINTS),
        get("/admin/connections", admin::connections).costs(REPORT_POINTS),
        post("/admin/connections/{id}/disconnect", admin::disconnect),
        get("/admin/poison", admin::poison),
        post("/admin/poison/{id}/retry", admin::retry_poison),
        post("/admin/poison/{id}/discard", admin::discard_poison),
        get("/people", people::list),
        get("/demo", demo::people),
        post("/demo", demo::sign_in),
        get("/health/live", health::live),
        get("/health/ready", health::ready),
        get("/metrics", health::metrics),
        get("/openapi.json", openapi::document),
        get("/records", records::catalogue),
        get("/records/{module}", records::list),
        post("/records/{module}", records::create),
        get("/records/{module}/{id}", records::get),
        patch("/records/{module}/{id}", records::patch),
        delete("/records/{module}/{id}", records::delete),
        post("/records/{module}/{id}/archive", records::archive),
        post("/records/{module}/{id}/restore", records::restore),
        post("/uploads", uploads::create).costs(LARGE_POINTS),
    ]
}

/// The route of a path that is a route without variables.
pub(super) fn without_variables(path: &str) -> Option<&'static str> {
    static ROUTES: LazyLock<FxHashSet<&'static str>> = LazyLock::new(|| {
        let paths = all().into_iter().map(|endpoint| endpoint.path);
        paths.filter(|path| !path.contains('{')).collect()
    });
    ROUTES.get(path).copied()
}

/// Registers all endpoints, and the answers for unknown paths and methods.
///
/// actix tries paths in order, and takes long to compare those with variables. So they come last, and are only tried where
/// the path begins as they do.
pub fn configure(service: &mut web::ServiceConfig) {
    let mut scopes: BTreeMap<_, Scope> = BTreeMap::new();
    for (path, endpoints) in of_paths() {
        let Some(variables) = path.find("/{") else {
            service.service(resource(path, endpoints));
            continue;
        };
        let (beginning, rest) = path.split_at(variables);
        let scope = scopes.remove(beginning);
        let scope = scope.unwrap_or_else(|| web::scope(beginning));
        scopes.insert(beginning, scope.service(resource(rest, endpoints)));
    }
    for scope in scopes.into_values() {
        service.service(scope);
    }
    service.default_service(web::to(|request: HttpRequest| {
        ready(no_such_path(&request))
    }));
}

/// The endpoints of each path, with their places in [`all`].
fn of_paths() -> BTreeMap<&'static str, Vec<(usize, Endpoint)>> {
    let mut paths: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (place, endpoint) in all().into_iter().enumerate() {
        let endpoints = paths.entry(endpoint.path).or_default();
        endpoints.push((place, endpoint));
    }
    paths
}

fn resource(path: &str, endpoints: Vec<(usize, Endpoint)>) -> Resource {
    let methods = endpoints.iter().flat_map(|(_, e)| {
        let head = e.has_head.then_some("HEAD");
        [e.method.as_str()].into_iter().chain(head)
    });
    let methods: Vec<_> = methods.collect();
    let allowed = methods.join(", ");
    let known = endpoints.iter().map(|(place, e)| KnownEndpoint {
        place: *place,
        method: e.method.clone(),
        cost: e.cost(),
    });
    let known = PathEndpoints(known.collect());
    let resource = web::resource(pattern(path)).app_data(known);
    let resource = endpoints
        .into_iter()
        .fold(resource, |resource, (_, e)| resource.route(e.route));
    resource.default_service(web::to(move || ready(other_method(&allowed))))
}

/// A file may be in folders.
fn pattern(path: &str) -> String {
    path.replace("{file}", "{file:.+}")
}

fn other_method(allowed: &str) -> Problem {
    let detail = format!("This path takes {allowed}.");
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::MethodNotAllowed,
        detail,
    )
    .with_allowed(allowed.to_owned())
}

pub(super) fn no_such_path(request: &HttpRequest) -> Problem {
    let detail = format!("There is nothing at {}. See /openapi.json.", request.path());
    Problem::new(StatusCode::NOT_FOUND, Code::NotFound, detail)
}

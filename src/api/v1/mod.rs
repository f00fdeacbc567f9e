//! `/api/v1`: documents, their results and the queue, for programs; and `/media/…` and `/results/…`, the bytes.

mod change;
pub(crate) mod create;
pub(crate) mod document_request;
pub(crate) mod events;
pub(crate) mod export;
mod idempotency;
mod json;
mod objects;
mod openapi;
pub(crate) mod params;
pub(crate) mod problem;
mod read;
mod results;
mod system;
mod together;
mod uploads;

use std::time::Duration;

pub use events::{EventHub, EventListener};
pub use together::Together;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::guard::{Any, Get, Head};
use actix_web::http::Method;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{Handler, HttpMessage, HttpRequest, Resource, Responder, Route};

use self::problem::{Code, Problem};
use super::State;
use super::auth::{self, Denied, Policy};
use super::backpressure::Gate;

/// After the end of what a client sends, for its answer.
const HUNG_UP: Duration = Duration::from_secs(1);
/// For a request that does not wait on purpose.
const LIMIT: Duration = Duration::from_secs(30);

pub fn configure(config: &mut ServiceConfig) {
    config.configure(openapi::configure).service(
        web::scope("/api/v1")
            .wrap(from_fn(authorize))
            .service(resource("/documents", [get(read::list), post(create::create)]))
            .service(resource("/documents/{id}", [get(read::get), delete(change::delete)]))
            .service(resource("/documents/{id}/cancel", [post(change::cancel)]))
            .service(resource("/documents/{id}/retry", [post(change::retry)]))
            .service(resource("/documents/{id}/reprocess", [post(change::reprocess)]))
            .service(resource("/documents/{id}/events", [get(events::stream)]))
            .service(resource("/documents/{id}/deliveries", [get(results::deliveries)]))
            .service(resource("/documents/{id}/file", [get(results::file)]))
            .service(resource("/documents/{id}/export", [get(export::export)]))
            .service(resource("/documents/{id}/pages", [get(results::pages)]))
            .service(resource("/documents/{id}/pages/{number}", [get(results::page)]))
            .service(resource("/documents/{id}/pages/{number}/detections", [get(results::detections)]))
            .service(resource("/documents/{id}/pages/{number}/image", [get(results::image)]))
            .service(resource("/documents/{id}/pages/{number}/thumbnail", [get(results::thumbnail)]))
            .service(resource("/documents/{id}/pages/{number}/overlay", [get(results::overlay)]))
            .service(resource("/documents/{id}/pages/{number}/crops/{ordinal}", [get(results::crop)]))
            .service(resource("/uploads", [post(uploads::create)]))
            .service(resource("/models", [get(system::models)]))
            .service(resource("/queue", [get(system::queue)]))
            .default_service(web::to(problem::not_found)),
    );
    let scope = |path: &str| web::scope(path).default_service(web::to(problem::not_found));
    config
        .service(scope("/results").service(resource("/{key:.+}", [get(objects::result)])).wrap(from_fn(authorize)))
        .service(
            scope("/media").service(resource("/{key:.+}", [get(objects::upload)])).wrap(from_fn(authorize_upload)),
        );
}

/// A path with its methods; others are answered with 405 and the list of those that there are.
fn resource<const N: usize>(path: &str, methods: [(Method, Route); N]) -> Resource {
    let names = methods.each_ref().map(|(method, _)| if method == Method::GET { "GET, HEAD" } else { method.as_str() });
    let allow = names.join(", ");
    let refuse = move |request: HttpRequest| {
        let allow = allow.clone();
        async move { problem::method_not_allowed(&request, &allow) }
    };
    let resource = web::resource(path).default_service(web::to(refuse));
    methods.into_iter().fold(resource, |resource, (_, route)| resource.route(route))
}

fn get<F, Args>(handler: F) -> (Method, Route)
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    (Method::GET, web::route().guard(Any(Get()).or(Head())).to(handler))
}

fn post<F, Args>(handler: F) -> (Method, Route)
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    (Method::POST, web::post().to(handler))
}

fn delete<F, Args>(handler: F) -> (Method, Route)
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    (Method::DELETE, web::delete().to(handler))
}

/// By API_AUTH.
async fn authorize(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    admit(state.settings.auth, state, request, next).await
}

/// By LEGACY_API_AUTH, as `/api/create/`, whose `file` URLs lead here.
async fn authorize_upload(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    admit(state.settings.legacy_auth, state, request, next).await
}

/// Lets a request through that has what token it needs and does not come too soon; handlers find its `Client`.
async fn admit(
    policy: Policy,
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let admitted = auth::admit(&state, request.request(), policy).await.map_err(Problem::from)?;
    let client = admitted.map_err(|denied| match denied {
        Denied::Unknown => {
            Problem::new(Code::Unauthorized, "Send a token as `Authorization: Bearer …`; `app token create` makes one.")
        }
        Denied::ReadOnly => Problem::new(Code::ReadOnlyToken, "This token, or this user's role, may only read."),
        Denied::CrossSite => Problem::new(
            Code::CsrfFailed,
            "With a session's cookie, changes need the page's CSRF token as X-CSRF-Token; other clients send a token.",
        ),
        Denied::TooMany(wait) => {
            let seconds = Denied::retry_after(wait);
            Problem::new(Code::RateLimited, format!("Too many requests; the next may come in {seconds} s."))
                .retry_after(seconds as u32)
        }
    })?;
    request.extensions_mut().insert(client);
    let Some(limit) = time_limit(request.request()) else { return next.call(request).await };
    // What a handler has asked the database for ends with it, and so does the connection if no answer comes.
    let gate = request.request().conn_data::<Gate>().cloned();
    tokio::select! {
        response = next.call(request) => response,
        () = tokio::time::sleep(limit) => Err(Problem::no_answer().into()),
        () = hung_up(gate) => Err(Problem::no_answer().into()),
    }
}

/// A client that only closes its sending end gets what is quick.
async fn hung_up(gate: Option<Gate>) {
    match gate {
        Some(gate) => gate.ended().await,
        None => std::future::pending().await,
    }
    tokio::time::sleep(HUNG_UP).await;
}

/// For a handler; one that receives a file has limits of its own.
fn time_limit(request: &HttpRequest) -> Option<Duration> {
    let receives = request.method() == Method::POST && request.path().ends_with("/documents");
    let waits = request.query_string().split('&').any(|parameter| parameter.starts_with("wait="));
    (!receives).then_some(if waits { LIMIT + Duration::from_secs(read::MAX_WAIT) } else { LIMIT })
}

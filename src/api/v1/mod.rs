//! `/api/v1`: documents, their results and the queue, for programs.

mod change;
mod create;
mod events;
mod export;
mod json;
mod params;
mod problem;
mod read;
mod results;
mod system;

pub use events::{EventHub, EventListener};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};

use self::problem::{Code, Problem};
use super::State;
use super::auth::{self, Denied};

pub fn configure(config: &mut ServiceConfig) {
    config.service(
        web::scope("/api/v1")
            .wrap(from_fn(authorize))
            .service(
                web::resource("/documents")
                    .route(web::get().to(read::list))
                    .route(web::post().to(create::create))
                    .default_service(web::to(problem::method_not_allowed)),
            )
            .service(
                web::resource("/documents/{id}")
                    .route(web::get().to(read::get))
                    .route(web::delete().to(change::delete))
                    .default_service(web::to(problem::method_not_allowed)),
            )
            .route("/documents/{id}/cancel", web::post().to(change::cancel))
            .route("/documents/{id}/retry", web::post().to(change::retry))
            .route("/documents/{id}/reprocess", web::post().to(change::reprocess))
            .route("/documents/{id}/events", web::get().to(events::stream))
            .route("/documents/{id}/file", web::get().to(results::file))
            .route("/documents/{id}/export", web::get().to(export::export))
            .route("/documents/{id}/pages", web::get().to(results::pages))
            .route("/documents/{id}/pages/{number}", web::get().to(results::page))
            .route("/documents/{id}/pages/{number}/detections", web::get().to(results::detections))
            .route("/documents/{id}/pages/{number}/image", web::get().to(results::image))
            .route("/documents/{id}/pages/{number}/overlay", web::get().to(results::overlay))
            .route("/documents/{id}/pages/{number}/crops/{ordinal}", web::get().to(results::crop))
            .route("/models", web::get().to(system::models))
            .route("/queue", web::get().to(system::queue))
            .default_service(web::to(problem::not_found)),
    );
}

/// Lets a request through that needs no token or has the right one.
async fn authorize(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let allowed = auth::check(&state, request.request(), state.auth).await.map_err(Problem::from)?;
    allowed.map_err(|denied| match denied {
        Denied::Unknown => {
            Problem::new(Code::Unauthorized, "Send a token as `Authorization: Bearer …`; `app token create` makes one.")
        }
        Denied::ReadOnly => Problem::new(Code::ReadOnlyToken, "This token may only read."),
    })?;
    next.call(request).await
}

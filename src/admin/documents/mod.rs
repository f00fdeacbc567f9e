//! Pages of documents: the list, one with its results, uploads, and what is done to them.

mod about;
mod bulk;
mod change;
mod compare;
mod events;
mod list;
mod matching;
mod numbers;
mod options;
mod outcome;
mod show;
mod upload;
mod viewer;
mod words;

use actix_web::HttpRequest;
use actix_web::web::{self, ServiceConfig};

use super::error::{Error, Result};

/// How many documents are changed or followed at a time.
const MOST_AT_ONCE: usize = 200;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(web::resource("/upload/").route(web::get().to(upload::show)).route(web::post().to(upload::receive)))
        .service(web::resource("/documents/").route(web::get().to(list::show)))
        .service(web::resource("/documents/bulk/").route(web::post().to(bulk::change)))
        .service(web::resource("/documents/events/").route(web::get().to(events::stream)))
        .service(web::resource("/documents/{id}/").route(web::get().to(show::show)))
        .service(web::resource("/documents/{id}/compare/").route(web::get().to(compare::show)))
        .service(web::resource("/documents/{id}/delete/").route(web::post().to(change::delete)))
        .service(web::resource("/documents/{id}/{change}/").route(web::post().to(change::change)));
}

fn document_id(request: &HttpRequest) -> Result<i64> {
    request.match_info().get("id").and_then(|id| id.parse().ok()).ok_or(Error::NotFound)
}

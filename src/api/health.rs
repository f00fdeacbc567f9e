//! `/healthz`: this process lives. `/readyz`: it can do its work.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::State;

const PATIENCE: Duration = Duration::from_secs(3);

pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

#[derive(Serialize)]
struct Ready {
    database: &'static str,
    storage: &'static str,
}

pub async fn readyz(state: web::Data<State>) -> HttpResponse {
    let database = tokio::time::timeout(PATIENCE, sqlx::query("select 1 from documents limit 0").execute(&state.pool));
    let storage = tokio::time::timeout(PATIENCE, state.storage.check());
    let (database, storage) = tokio::join!(database, storage);
    let database = matches!(database, Ok(Ok(_)));
    let storage = matches!(storage, Ok(Ok(_)));
    let say = |ok| if ok { "ok" } else { "unreachable" };
    let body = Ready { database: say(database), storage: say(storage) };
    if database && storage { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

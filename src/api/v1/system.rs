//! `GET /api/v1/models` and `GET /api/v1/queue`

use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::problem::Result;
use crate::api::State;
use crate::documents::{self, ModelRow};
use crate::queue;

#[derive(Serialize)]
struct Models {
    models: Vec<ModelRow>,
}

pub async fn models(state: web::Data<State>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(Models { models: documents::models(&state.pool).await? }))
}

pub async fn queue(state: web::Data<State>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(queue::health(&state.pool).await?))
}

//! `GET /api/v1/models` and `GET /api/v1/queue`

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Result;
use crate::api::State;
use crate::documents::{self, ModelRow};
use crate::queue::{self, QueueHealth};

#[derive(Serialize, ToSchema)]
pub struct Models {
    models: Vec<ModelRow>,
}

/// List the models that workers have had, newest first
#[utoipa::path(
    get, path = "/api/v1/models", tag = "system", operation_id = "list_models",
    responses((status = 200, description = "Models", body = Models))
)]
pub async fn models(state: web::Data<State>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(Models { models: documents::models(&state.pool).await? }))
}

/// How the queue stands
#[utoipa::path(
    get, path = "/api/v1/queue", tag = "system", operation_id = "get_queue",
    responses((status = 200, description = "Now", body = QueueHealth))
)]
pub async fn queue(state: web::Data<State>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(queue::health(&state.pool).await?))
}

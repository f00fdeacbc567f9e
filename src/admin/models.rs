//! The models that workers have, or had.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::assets::filters;
use super::error::Result;
use super::format::Time;
use super::page::{self, Page};
use super::visitor::Visitor;
use crate::api::State;
use crate::documents::{self, Figure, ModelFacts};
use crate::queue::{self, WorkerRow};

#[derive(Template)]
#[template(path = "models.html")]
struct ModelsPage {
    page: Page,
    has_models: bool,
    models: Vec<Card>,
}

struct Card {
    id: i64,
    name: String,
    sha256: String,
    sha256_short: String,
    classes: Vec<String>,
    is_loaded: bool,
    documents: i64,
    summary: String,
    figures: Vec<Figure>,
    workers: Vec<String>,
    created: Time,
}

impl Card {
    fn new(model: ModelFacts, workers: &[WorkerRow]) -> Self {
        let has_it = |worker: &&WorkerRow| worker.model == model.name && worker.ended_at.is_none();
        let workers: Vec<_> = workers.iter().filter(has_it).map(|w| format!("{} on {}", w.id, w.host)).collect();
        Self {
            id: model.id,
            sha256_short: model.sha256.chars().take(12).collect(),
            sha256: model.sha256,
            name: model.name,
            classes: model.classes,
            is_loaded: !workers.is_empty(),
            documents: model.documents,
            summary: model.summary,
            figures: serde_json::from_value(model.figures).unwrap_or_default(),
            workers,
            created: model.created_at.into(),
        }
    }
}

pub async fn show(request: HttpRequest, _: Visitor, state: web::Data<State>) -> Result {
    let (models, workers) = (documents::model_facts(&state.pool).await?, queue::workers(&state.pool).await?);
    let models: Vec<Card> = models.into_iter().map(|model| Card::new(model, &workers)).collect();
    let page = Page::new(&request, "models", "Models");
    page::show(&ModelsPage { page, has_models: !models.is_empty(), models })
}

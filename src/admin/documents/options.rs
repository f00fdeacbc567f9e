//! The form's part that asks how a document is processed.

use std::collections::BTreeSet;

use sqlx::PgPool;

use crate::documents::{self, DocumentRow};

/// What was asked for; empty where nothing was.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub pages: String,
    pub score_threshold: String,
    pub crop_min_score: String,
    pub priority: String,
    pub default_score: &'static str,
    pub default_crop: &'static str,
}

/// A name of a model that may be asked for.
pub struct ModelChoice {
    pub name: String,
    pub selected: bool,
}

/// Only workers know their settings.
const AS_THE_WORKER: &str = "as the worker has it";

impl Options {
    pub fn of(row: &DocumentRow) -> Self {
        let text = |score: Option<f32>| score.map(|score| score.to_string()).unwrap_or_default();
        Self {
            pages: row.page_range.clone().unwrap_or_default(),
            score_threshold: text(row.score_threshold),
            crop_min_score: text(row.crop_min_score),
            priority: row.priority.to_string(),
            ..Self::new()
        }
    }

    pub fn new() -> Self {
        Self { default_score: AS_THE_WORKER, default_crop: AS_THE_WORKER, ..Self::default() }
    }
}

pub async fn model_choices(pool: &PgPool, chosen: Option<&str>) -> sqlx::Result<Vec<ModelChoice>> {
    let names: BTreeSet<String> = documents::models(pool).await?.into_iter().map(|model| model.name).collect();
    Ok(names.into_iter().map(|name| ModelChoice { selected: chosen == Some(&name), name }).collect())
}

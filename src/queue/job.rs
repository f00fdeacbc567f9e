use serde::{Deserialize, Serialize};

use crate::documents::Chunk;

/// The arguments of a job in queue `documents`, as the trigger writes them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DocumentJob {
    pub document_id: i64,
    /// None for the first job of a document.
    #[serde(default)]
    pub chunk: Option<Chunk>,
}

impl DocumentJob {
    /// For documents that any model will do for.
    pub const QUEUE: &str = "documents";

    /// For documents that ask for a model.
    pub fn queue_of(model: &str) -> String {
        format!("{}:{model}", Self::QUEUE)
    }
}

/// The arguments of a job in queue `webhooks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WebhookJob {
    pub delivery_id: i64,
}

impl WebhookJob {
    pub const QUEUE: &str = "webhooks";
}

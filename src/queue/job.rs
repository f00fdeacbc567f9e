use serde::{Deserialize, Serialize};

/// The arguments of a job in queue `documents`, as the trigger writes them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DocumentJob {
    pub document_id: i64,
}

impl DocumentJob {
    pub const QUEUE: &str = "documents";
    /// As in the trigger `enqueue_document`.
    pub const MAX_ATTEMPTS: usize = 5;
}

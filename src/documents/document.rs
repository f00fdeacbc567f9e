//! Rows of `documents`.

use sqlx::{Postgres, Transaction};

use super::{PageRange, Title};

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type, serde::Serialize, utoipa::ToSchema)]
#[sqlx(type_name = "document_status", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Pending,
    Processing,
    Done,
    Failed,
    Canceled,
}

impl Status {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Processing, Self::Done, Self::Failed, Self::Canceled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Nothing changes until the document is queued again.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Canceled)
    }
}

impl TryFrom<String> for Status {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Self::ALL.into_iter().find(|status| status.name() == name).ok_or_else(|| format!("no status: {name:?}"))
    }
}

#[derive(Debug)]
pub struct NewDocument<'a> {
    pub title: &'a Title,
    /// Taken with [`super::reserve_key`].
    pub object_key: &'a str,
    pub file: &'a NewFile,
    pub options: &'a Options,
}

/// Where a new document's file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewFile {
    /// In the bucket; the digest is known of files that came through the server.
    Stored { size: u64, sha256: Option<String> },
    /// At a URL, from where the worker will get it.
    At(String),
}

/// What a client may ask of the processing; by default the worker's settings for all pages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    pub page_range: Option<PageRange>,
    pub score_threshold: Option<f32>,
    pub crop_min_score: Option<f32>,
    /// -100 to 100, higher first.
    pub priority: i32,
    /// Name of the model; any if it is `None`.
    pub model: Option<String>,
    /// Is told when the document is done, failed or canceled.
    pub callback_url: Option<String>,
    /// The key, and a fingerprint of what it stands for.
    pub idempotency: Option<(String, String)>,
}

/// Inserts a document, which queues its job in the same transaction (trigger `documents_enqueue`), and marks its upload as done.
/// `None` if the key is no longer reserved: its upload took too long, or became a document already.
pub async fn insert(tx: &mut Transaction<'_, Postgres>, new: &NewDocument<'_>) -> sqlx::Result<Option<i64>> {
    let options = new.options;
    let (key, request) = options.idempotency.as_ref().map(|(k, r)| (k.as_str(), r.as_str())).unzip();
    let (size, sha256, source_url) = match new.file {
        NewFile::Stored { size, sha256 } => (Some(*size as i64), sha256.as_deref(), None),
        NewFile::At(url) => (None, None, Some(url.as_str())),
    };
    let reserved = sqlx::query!(
        "select 1 as one from uploads where object_key = $1 and document_id is null for update",
        new.object_key
    );
    if reserved.fetch_optional(&mut **tx).await?.is_none() {
        return Ok(None);
    }
    let id = sqlx::query_scalar!(
        "insert into documents (title, object_key, size, sha256, source_url, page_range, score_threshold, crop_min_score,
             priority, wanted_model, callback_url, idempotency_key, request_sha256)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) returning id",
        new.title.as_str(),
        new.object_key,
        size,
        sha256,
        source_url,
        options.page_range.as_ref().map(ToString::to_string),
        options.score_threshold,
        options.crop_min_score,
        options.priority,
        options.model,
        options.callback_url,
        key,
        request
    )
    .fetch_one(&mut **tx)
    .await?;
    sqlx::query!("update uploads set document_id = $1 where object_key = $2", id, new.object_key)
        .execute(&mut **tx)
        .await?;
    Ok(Some(id))
}

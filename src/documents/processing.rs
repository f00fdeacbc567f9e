//! What a worker does to a document.

use std::time::Duration;

use sqlx::PgPool;

/// A part of a large document that is a job of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Chunk {
    /// Of the document when the job was written: counted up when another model takes over, or the document is queued again.
    pub generation: i32,
    /// From 0.
    pub number: u32,
}

/// A document that a worker may start on.
#[derive(Debug)]
pub struct Claim {
    /// None for the document's first job, which is for all of it if it is small.
    pub chunk: Option<Chunk>,
    pub generation: i32,
    /// The run that its pages belong to.
    pub run: i32,
    /// Pages of each chunk, and of the file, if they have been counted.
    pub counted: Option<PageCounts>,
    pub object_key: String,
    /// Where the file is to be got from, if it is not in the bucket yet.
    pub source_url: Option<String>,
    /// Of the file, if it is known.
    pub sha256: Option<String>,
    pub page_range: Option<String>,
    pub score_threshold: Option<f32>,
    pub crop_min_score: Option<f32>,
    /// Numbers of the pages that this model has finished already in this run, in vain or not.
    pub finished_pages: Vec<i32>,
    /// Spent on rendering and detection of these pages.
    pub spent: Duration,
}

/// What the first job finds out about a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCounts {
    pub pages_in_file: u32,
    /// Pages of a chunk.
    pub chunk_pages: u32,
}

/// Marks a document as being processed by a model; `None` if it is gone, canceled or finished, or no longer wants this chunk.
/// If another model was at it, chunks begin anew: a claim is for chunk 0 then, whichever was asked for. A document that says
/// nothing of the least score is processed with `default_threshold`.
pub async fn claim(
    pool: &PgPool,
    id: i64,
    model_id: i64,
    default_threshold: f32,
    chunk: Option<Chunk>,
) -> sqlx::Result<Option<Claim>> {
    let mut tx = super::begin(pool).await?;
    // A statement of its own: one that waits for a lock does not see pages that were committed meanwhile.
    let found = sqlx::query!(
        "select model_id, generation, pages_run from documents where id = $1 and status in ('pending', 'processing') for update",
        id
    );
    let Some(found) = found.fetch_optional(&mut *tx).await? else { return Ok(None) };
    let taken_over = found.model_id != Some(model_id);
    if chunk.is_some_and(|c| !taken_over && c.generation != found.generation) {
        return Ok(None);
    }
    let row = sqlx::query!(
        "update documents set status = 'processing', started_at = coalesce(started_at, now()), model_id = $2,
             generation = generation + case when $3 then 1 else 0 end, pages_score_threshold = coalesce(score_threshold, $4)
         where id = $1
         returning generation, object_key, case when sha256 is null then source_url end as source_url, sha256, page_range,
             score_threshold, crop_min_score, pages_in_file, chunk_pages",
        id,
        model_id,
        taken_over,
        default_threshold
    )
    .fetch_one(&mut *tx)
    .await?;
    let finished = sqlx::query!(
        r#"select number as "number!", render_ms + detect_ms as "ms!", false as "failed!" from pages
           where document_id = $1 and model_id = $2 and run = $3
           union all
           select number, render_ms, true from failed_pages where document_id = $1 and model_id = $2 and run = $3"#,
        id,
        model_id,
        found.pages_run
    )
    .fetch_all(&mut *tx)
    .await?;
    if taken_over {
        let failed = finished.iter().filter(|page| page.failed).count();
        sqlx::query!(
            "update documents set pages_done = $2, pages_failed = $3 where id = $1",
            id,
            finished.len() as i32,
            failed as i32
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    let counted = row.pages_in_file.zip(row.chunk_pages);
    Ok(Some(Claim {
        chunk: chunk.map(|c| Chunk { generation: row.generation, number: if taken_over { 0 } else { c.number } }),
        generation: row.generation,
        run: found.pages_run,
        counted: counted.map(|(pages, chunk)| PageCounts {
            pages_in_file: pages.unsigned_abs(),
            chunk_pages: chunk.unsigned_abs(),
        }),
        object_key: row.object_key,
        source_url: row.source_url,
        sha256: row.sha256,
        page_range: row.page_range,
        score_threshold: row.score_threshold,
        crop_min_score: row.crop_min_score,
        finished_pages: finished.iter().map(|page| page.number).collect(),
        spent: Duration::from_millis(finished.iter().map(|page| u64::from(page.ms.unsigned_abs())).sum()),
    }))
}

/// Notes the file's size in bytes and digest, if they are not known yet; `false` if the document is gone.
pub async fn set_digest(pool: &PgPool, id: i64, size: u64, sha256: &str) -> sqlx::Result<bool> {
    let updated = sqlx::query!(
        "update documents set size = coalesce(size, $2), sha256 = coalesce(sha256, $3) where id = $1",
        id,
        size as i64,
        sha256
    );
    Ok(updated.execute(pool).await?.rows_affected() == 1)
}

/// Notes how many pages the file has, how many of them are to be processed, and how many make a chunk.
pub async fn set_page_count(pool: &PgPool, id: i64, counted: PageCounts, wanted: u32) -> sqlx::Result<()> {
    sqlx::query!(
        "update documents set pages_in_file = $2, page_count = $3, chunk_pages = $4 where id = $1",
        id,
        counted.pages_in_file as i32,
        wanted as i32,
        counted.chunk_pages as i32
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Queues a chunk for workers with the model of that name, unless that has been done, or the document wants no more.
pub async fn enqueue_chunk(pool: &PgPool, id: i64, model: &str, chunk: Chunk) -> sqlx::Result<()> {
    sqlx::query!(
        "select enqueue_chunk(d, $2, $4) from documents d
         where id = $1 and generation = $3 and status in ('pending', 'processing')",
        id,
        model,
        chunk.generation,
        chunk.number as i32
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Marks a document as done once all pages of a run are there, and shows them; as failed if none of them succeeded.
pub async fn finish(pool: &PgPool, id: i64, model_id: i64, run: i32) -> sqlx::Result<()> {
    sqlx::query!("select finish_document($1, $2, $3)", id, model_id, run).execute(pool).await?;
    Ok(())
}

/// Marks a document as failed, with a code for programs and a sentence for its owner.
pub async fn fail(pool: &PgPool, id: i64, code: &str, error: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update documents set status = 'failed', error_code = $2, error = $3, finished_at = now()
         where id = $1 and status in ('pending', 'processing')",
        id,
        code,
        error
    )
    .execute(pool)
    .await?;
    Ok(())
}

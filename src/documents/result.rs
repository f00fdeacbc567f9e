//! Results as readers see them: the last that are complete, or those in the making.

use sqlx::{PgExecutor, PgPool};

#[derive(Debug)]
pub struct PageRow {
    pub id: i64,
    pub number: i32,
    pub width_pt: f32,
    pub height_pt: f32,
    pub width_px: i32,
    pub height_px: i32,
    pub overlay_key: String,
    pub image_key: Option<String>,
    pub thumbnail_key: Option<String>,
    pub render_ms: i32,
    pub detect_ms: i32,
    pub detections: i64,
}

#[derive(Debug)]
pub struct FoundRow {
    pub page: i32,
    pub ordinal: i32,
    pub class_id: i32,
    pub label: String,
    pub score: f32,
    pub x0_pt: f32,
    pub y0_pt: f32,
    pub x1_pt: f32,
    pub y1_pt: f32,
    pub x0_px: f32,
    pub y0_px: f32,
    pub x1_px: f32,
    pub y1_px: f32,
    pub mask_rle: Option<serde_json::Value>,
    pub crop_key: Option<String>,
}

/// A run that readers can look at, and what it was made with.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub run: i32,
    pub model_id: i64,
    pub model: String,
    /// Detections with lower scores were not kept; `None` if that was not noted yet.
    pub score_threshold: Option<f32>,
}

/// The run of the results; `None` before a worker has begun.
pub async fn shown_run(pool: &PgPool, document_id: i64) -> sqlx::Result<Option<Run>> {
    sqlx::query_as!(
        Run,
        r#"select s.run as "run!", m.id as model_id, m.name as model, s.score_threshold
           from shown_results s join models m on m.id = s.model_id where s.document_id = $1"#,
        document_id
    )
    .fetch_optional(pool)
    .await
}

/// The run whose results readers saw before those, kept until the next run is complete.
pub async fn earlier_run(pool: &PgPool, document_id: i64) -> sqlx::Result<Option<Run>> {
    sqlx::query_as!(
        Run,
        r#"select d.earlier_run as "run!", m.id as model_id, m.name as model, d.earlier_score_threshold as score_threshold
           from documents d join models m on m.id = d.earlier_model_id where d.id = $1"#,
        document_id
    )
    .fetch_optional(pool)
    .await
}

/// The finished pages of the results, in order; only page `number` if it is given.
pub async fn pages(db: impl PgExecutor<'_>, document_id: i64, number: Option<i32>) -> sqlx::Result<Vec<PageRow>> {
    select_pages(db, document_id, None, number).await
}

/// The same of a run.
pub async fn pages_of_run(
    db: impl PgExecutor<'_>,
    document_id: i64,
    run: &Run,
    number: Option<i32>,
) -> sqlx::Result<Vec<PageRow>> {
    select_pages(db, document_id, Some(run), number).await
}

async fn select_pages(
    db: impl PgExecutor<'_>,
    document_id: i64,
    run: Option<&Run>,
    number: Option<i32>,
) -> sqlx::Result<Vec<PageRow>> {
    sqlx::query_as!(
        PageRow,
        r#"select p.id, p.number, p.width_pt, p.height_pt, p.width_px, p.height_px, p.overlay_key, p.image_key,
               p.thumbnail_key, p.render_ms, p.detect_ms, (select count(*) from detections x where x.page_id = p.id) as "detections!"
           from pages p join shown_results s
               on s.document_id = p.document_id and p.run = coalesce($3, s.run) and p.model_id = coalesce($4, s.model_id)
           where s.document_id = $1 and ($2::int is null or p.number = $2)
           order by p.number"#,
        document_id,
        number,
        run.map(|run| run.run),
        run.map(|run| run.model_id)
    )
    .fetch_all(db)
    .await
}

/// Detections on the pages with these ids, by page and score.
pub async fn found(pool: &PgPool, page_ids: &[i64]) -> sqlx::Result<Vec<FoundRow>> {
    sqlx::query_as!(
        FoundRow,
        "select p.number as page, x.ordinal, x.class_id, x.label, x.score, x.x0_pt, x.y0_pt, x.x1_pt, x.y1_pt,
             x.x0_px, x.y0_px, x.x1_px, x.y1_px, x.mask_rle, x.crop_key
         from detections x join pages p on p.id = x.page_id where x.page_id = any($1) order by p.number, x.ordinal",
        page_ids
    )
    .fetch_all(pool)
    .await
}

/// Whether an object is the image, the thumbnail, the overlay or a crop of a page that readers see, or saw in the run before.
pub async fn object_is_shown(pool: &PgPool, document_id: i64, number: i32, key: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select 1 from pages p
                   join readable_results r on r.document_id = p.document_id and r.run = p.run and r.model_id = p.model_id
               where r.document_id = $1 and p.number = $2 and ($3 in (p.image_key, p.thumbnail_key, p.overlay_key)
                   or exists (select 1 from detections x where x.page_id = p.id and x.crop_key = $3))
           ) as "shown!""#,
        document_id,
        number,
        key
    )
    .fetch_one(pool)
    .await
}

/// What is known of the results that readers see.
#[derive(Debug)]
pub struct Shown {
    /// Of the model, in the order of their numbers.
    pub classes: Vec<String>,
    /// All pages are there.
    pub complete: bool,
}

/// `None` before a worker has begun.
pub async fn shown(db: impl PgExecutor<'_>, document_id: i64) -> sqlx::Result<Option<Shown>> {
    sqlx::query_as!(
        Shown,
        r#"select m.classes, s.complete as "complete!"
           from shown_results s join models m on m.id = s.model_id where s.document_id = $1"#,
        document_id
    )
    .fetch_optional(db)
    .await
}

/// A page of the results on which nothing could be found.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct FailedPage {
    pub number: i32,
    /// For programs.
    pub code: String,
    pub message: String,
}

/// In order.
pub async fn failed_pages(pool: &PgPool, document_id: i64) -> sqlx::Result<Vec<FailedPage>> {
    sqlx::query_as!(
        FailedPage,
        "select f.number, f.error_code as code, f.error as message
         from failed_pages f join shown_results s on s.document_id = f.document_id and s.run = f.run and s.model_id = f.model_id
         where s.document_id = $1 order by f.number",
        document_id
    )
    .fetch_all(pool)
    .await
}

//! Rows of `pages`, `failed_pages` and `detections`.

use sqlx::PgPool;

/// A finished page.
#[derive(Debug)]
pub struct PageResult {
    pub width_pt: f32,
    pub height_pt: f32,
    pub width_px: u32,
    pub height_px: u32,
    pub overlay_key: String,
    pub image_key: String,
    pub thumbnail_key: String,
    pub render_ms: u32,
    pub detect_ms: u32,
    /// Best score first.
    pub detections: Vec<DetectionRow>,
}

#[derive(Debug, Clone)]
pub struct DetectionRow {
    pub class_id: usize,
    pub label: String,
    pub score: f32,
    /// x0, y0, x1, y1 in PDF points, origin at the top left.
    pub box_pt: [f32; 4],
    /// The same in pixels of the rendered page.
    pub box_px: [f32; 4],
    pub mask_rle: Option<serde_json::Value>,
    pub crop_key: Option<String>,
}

/// What became of a page that was to be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    Now,
    /// By another worker, with the same model: its objects have the same keys and content.
    Before,
    /// The document is gone, canceled, finished, or now processed with another model.
    Unwanted,
    /// Not by us: the job has been given to another worker, since this one was taken for dead.
    Lost,
}

/// A job that a worker has.
#[derive(Debug, Clone)]
pub struct JobLease {
    pub job: String,
    pub worker: String,
    /// There will be no other.
    pub last_attempt: bool,
}

/// Where a page belongs.
#[derive(Debug, Clone, Copy)]
pub struct PageOf<'a> {
    pub hold: &'a JobLease,
    pub document_id: i64,
    pub model_id: i64,
    pub run: i32,
    /// From 1.
    pub number: u32,
}

/// A page on which nothing could be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFailure {
    /// Names the kind of error, for programs.
    pub code: &'static str,
    /// A sentence for the document's owner.
    pub message: String,
}

/// Writes a page with its detections and counts it, while the worker has the job.
pub async fn save_page(pool: &PgPool, of: PageOf<'_>, page: &PageResult) -> sqlx::Result<Saved> {
    let d = &page.detections;
    let boxes = |f: fn(&DetectionRow) -> [f32; 4]| d.iter().flat_map(f).collect::<Vec<f32>>();
    let saved = sqlx::query_scalar!(
        r#"select save_page($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
               $20) as "saved!""#,
        of.hold.job,
        of.hold.worker,
        of.document_id,
        of.model_id,
        of.run,
        of.number as i32,
        &[page.width_pt, page.height_pt],
        &[page.width_px as i32, page.height_px as i32],
        page.overlay_key,
        page.image_key,
        page.render_ms as i32,
        page.detect_ms as i32,
        &d.iter().map(|d| d.class_id as i32).collect::<Vec<_>>(),
        &d.iter().map(|d| d.label.clone()).collect::<Vec<_>>(),
        &d.iter().map(|d| d.score).collect::<Vec<_>>(),
        &boxes(|d| d.box_pt),
        &boxes(|d| d.box_px),
        &d.iter().map(|d| d.mask_rle.clone()).collect::<Vec<_>>() as &[Option<serde_json::Value>],
        &d.iter().map(|d| d.crop_key.clone()).collect::<Vec<_>>() as &[Option<String>],
        page.thumbnail_key,
    );
    Saved::parse(saved.fetch_one(pool).await?.as_str())
}

/// Writes why a page failed and counts it, while the worker has the job; `took_ms` is what it cost.
pub async fn save_failed_page(
    pool: &PgPool,
    of: PageOf<'_>,
    failure: &PageFailure,
    took_ms: u32,
) -> sqlx::Result<Saved> {
    let saved = sqlx::query_scalar!(
        r#"select save_failed_page($1, $2, $3, $4, $5, $6, $7, $8, $9) as "saved!""#,
        of.hold.job,
        of.hold.worker,
        of.document_id,
        of.model_id,
        of.run,
        of.number as i32,
        failure.code,
        failure.message,
        took_ms as i32
    );
    Saved::parse(saved.fetch_one(pool).await?.as_str())
}

impl Saved {
    /// In the words of `save_page`.
    fn parse(word: &str) -> sqlx::Result<Self> {
        Ok(match word {
            "now" => Self::Now,
            "before" => Self::Before,
            "unwanted" => Self::Unwanted,
            "lost" => Self::Lost,
            other => return Err(sqlx::Error::Decode(format!("save_page says {other:?}").into())),
        })
    }
}

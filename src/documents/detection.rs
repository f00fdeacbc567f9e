//! Rows of `pages` and `detections`.

use sqlx::PgPool;

/// A finished page.
#[derive(Debug)]
pub struct PageResult {
    /// From 1.
    pub number: u32,
    pub width_pt: f32,
    pub height_pt: f32,
    pub width_px: u32,
    pub height_px: u32,
    pub overlay_key: String,
    pub image_key: String,
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
pub struct Hold {
    pub job: String,
    pub worker: String,
}

/// Writes a page with its detections and counts it, all in one transaction, in which the worker has the job.
pub async fn save_page(
    pool: &PgPool,
    hold: &Hold,
    document_id: i64,
    model_id: i64,
    page: &PageResult,
) -> sqlx::Result<Saved> {
    let mut tx = super::begin(pool).await?;
    // Locked before the document, as the triggers on jobs do. Until we commit, nobody can give the job away.
    let held = sqlx::query!(
        "select 1 as one from apalis.jobs where id = $1 and lock_by = $2 and status = 'Running' for share",
        hold.job,
        hold.worker
    );
    if held.fetch_optional(&mut *tx).await?.is_none() {
        return Ok(Saved::Lost);
    }
    // The lock makes workers that race for a document take turns. What follows is a statement of its own, since one that waited
    // for a lock does not see what was committed meanwhile.
    let wanted = sqlx::query_scalar!(
        r#"select status in ('pending', 'processing') and model_id = $2 as "wanted!" from documents where id = $1 for update"#,
        document_id,
        model_id
    )
    .fetch_optional(&mut *tx)
    .await?;
    let saved = sqlx::query_scalar!(
        r#"select exists (select 1 from pages where document_id = $1 and model_id = $2 and number = $3) as "saved!""#,
        document_id,
        model_id,
        page.number as i32
    )
    .fetch_one(&mut *tx)
    .await?;
    match wanted {
        _ if saved => return Ok(Saved::Before),
        Some(true) => {}
        _ => return Ok(Saved::Unwanted),
    }
    let page_id = sqlx::query_scalar!(
        "insert into pages (document_id, model_id, number, width_pt, height_pt, width_px, height_px, overlay_key, image_key, render_ms, detect_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         returning id",
        document_id,
        model_id,
        page.number as i32,
        page.width_pt,
        page.height_pt,
        page.width_px as i32,
        page.height_px as i32,
        page.overlay_key,
        page.image_key,
        page.render_ms as i32,
        page.detect_ms as i32
    )
    .fetch_one(&mut *tx)
    .await?;
    let d = &page.detections;
    let column = |f: fn(&DetectionRow) -> f32| d.iter().map(f).collect::<Vec<f32>>();
    sqlx::query!(
        "insert into detections (page_id, ordinal, class_id, label, score, x0_pt, y0_pt, x1_pt, y1_pt, x0_px, y0_px, x1_px, y1_px, mask_rle, crop_key)
         select $1, n - 1, c, l, s, a, b, x, y, pa, pb, px, py, m, k
         from unnest($2::int[], $3::text[], $4::real[], $5::real[], $6::real[], $7::real[], $8::real[], $9::real[], $10::real[], $11::real[], $12::real[], $13::jsonb[], $14::text[])
             with ordinality as t (c, l, s, a, b, x, y, pa, pb, px, py, m, k, n)",
        page_id,
        &d.iter().map(|d| d.class_id as i32).collect::<Vec<_>>(),
        &d.iter().map(|d| d.label.clone()).collect::<Vec<_>>(),
        &column(|d| d.score),
        &column(|d| d.box_pt[0]),
        &column(|d| d.box_pt[1]),
        &column(|d| d.box_pt[2]),
        &column(|d| d.box_pt[3]),
        &column(|d| d.box_px[0]),
        &column(|d| d.box_px[1]),
        &column(|d| d.box_px[2]),
        &column(|d| d.box_px[3]),
        &d.iter().map(|d| d.mask_rle.clone()).collect::<Vec<_>>() as &[Option<serde_json::Value>],
        &d.iter().map(|d| d.crop_key.clone()).collect::<Vec<_>>() as &[Option<String>],
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("update documents set pages_done = pages_done + 1 where id = $1", document_id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Saved::Now)
}

//! The shapes of answers.

use serde::Serialize;
use time::OffsetDateTime;
use time::serde::rfc3339;
use utoipa::ToSchema;

use crate::documents::{DocumentRow, FoundRow, PageRow, Status};
use crate::queue::Standing;

#[derive(Serialize, ToSchema)]
pub struct Document {
    id: i64,
    title: String,
    status: Status,
    /// Where the file is.
    file: String,
    /// Where the worker got it from.
    source_url: Option<String>,
    /// Bytes.
    size: Option<i64>,
    sha256: Option<String>,
    page_range: Option<String>,
    /// Pages of the file.
    pages_in_file: Option<i32>,
    /// Pages to process, how many are done, and on how many of these nothing could be found (`…/pages` says why).
    page_count: Option<i32>,
    pages_done: i32,
    pages_failed: i32,
    /// What is to be known of a document although it is done.
    warning: Option<String>,
    /// Which run's results readers see: of one that is processed again the former ones, until the new ones are complete.
    results_run: i32,
    error: Option<DocumentError>,
    priority: i32,
    /// How often it was queued.
    run: i32,
    score_threshold: Option<f32>,
    crop_min_score: Option<f32>,
    model: Option<Model>,
    /// The model that was asked for.
    wanted_model: Option<String>,
    callback_url: Option<String>,
    /// 1 for the next; null unless it waits, and in lists.
    queue_position: Option<i64>,
    /// The number of the attempt that runs or is next; null of documents that have ended.
    attempt: Option<i32>,
    /// Why the last attempt failed, and when the next one begins.
    last_error: Option<String>,
    #[serde(with = "rfc3339::option")]
    next_attempt_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "rfc3339::option")]
    started_at: Option<OffsetDateTime>,
    #[serde(with = "rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
    /// Seconds from being queued to the start, and from there to the end; of a document that is queued again, of its last run.
    wait_seconds: Option<f64>,
    run_seconds: Option<f64>,
    links: Links,
}

#[derive(Serialize, ToSchema)]
struct DocumentError {
    code: String,
    message: String,
}

#[derive(Serialize, ToSchema)]
struct Model {
    name: String,
    sha256: String,
}

#[derive(Serialize, ToSchema)]
struct Links {
    #[serde(rename = "self")]
    own: String,
    pages: String,
    events: String,
    file: String,
    export: String,
    deliveries: String,
}

pub fn location(id: i64) -> String {
    format!("/api/v1/documents/{id}")
}

impl Document {
    pub fn new(row: DocumentRow, standing: Option<Standing>, queue_position: Option<i64>, file: String) -> Self {
        let own = location(row.id);
        let link = |name: &str| format!("{own}/{name}");
        let model = row.model_name.zip(row.model_sha256);
        Self {
            links: Links {
                pages: link("pages"),
                events: link("events"),
                file: link("file"),
                export: link("export"),
                deliveries: link("deliveries"),
                own: own.clone(),
            },
            id: row.id,
            file,
            title: row.title,
            status: row.status,
            size: row.size,
            sha256: row.sha256,
            page_range: row.page_range,
            pages_in_file: row.pages_in_file,
            page_count: row.page_count,
            pages_done: row.pages_done,
            pages_failed: row.pages_failed,
            warning: (row.status == Status::Done && row.pages_failed > 0).then(|| {
                let (failed, all) = (row.pages_failed, row.pages_done);
                format!("{failed} of {all} pages failed; GET {own}/pages says why, POST {own}/retry tries them again.")
            }),
            results_run: row.shown_run.unwrap_or(row.pages_run),
            error: row
                .error
                .map(|message| DocumentError { code: row.error_code.unwrap_or_else(|| "unknown".to_owned()), message }),
            priority: row.priority,
            run: row.run,
            score_threshold: row.score_threshold,
            crop_min_score: row.crop_min_score,
            model: model.map(|(name, sha256)| Model { name, sha256 }),
            source_url: row.source_url,
            wanted_model: row.wanted_model,
            callback_url: row.callback_url,
            wait_seconds: row.started_at.zip(row.queued_at).map(|(end, start)| (end - start).as_seconds_f64()),
            run_seconds: row.finished_at.zip(row.started_at).map(|(end, start)| (end - start).as_seconds_f64()),
            queue_position,
            attempt: standing.as_ref().map(|s| s.attempt),
            next_attempt_at: standing.as_ref().and_then(|s| s.next_attempt_at),
            last_error: standing.and_then(|s| s.last_error),
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct DocumentList {
    pub documents: Vec<Document>,
    /// Give it as `cursor` for what follows; null at the end.
    pub next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Page {
    number: i32,
    /// Width and height.
    #[schema(min_items = 2, max_items = 2)]
    points: [f32; 2],
    #[schema(min_items = 2, max_items = 2)]
    pixels: [i32; 2],
    detections: i64,
    render_ms: i32,
    detect_ms: i32,
    links: PageLinks,
}

#[derive(Serialize, ToSchema)]
struct PageLinks {
    detections: String,
    image: Option<String>,
    thumbnail: Option<String>,
    overlay: String,
}

impl Page {
    pub fn new(document_id: i64, row: &PageRow) -> Self {
        let link = |name: &str| format!("{}/pages/{}/{name}", location(document_id), row.number);
        Self {
            number: row.number,
            points: [row.width_pt, row.height_pt],
            pixels: [row.width_px, row.height_px],
            detections: row.detections,
            render_ms: row.render_ms,
            detect_ms: row.detect_ms,
            links: PageLinks {
                detections: link("detections"),
                image: row.image_key.is_some().then(|| link("image")),
                thumbnail: row.thumbnail_key.is_some().then(|| link("thumbnail")),
                overlay: link("overlay"),
            },
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Detection {
    page: i32,
    ordinal: i32,
    class_id: i32,
    label: String,
    score: f32,
    r#box: Boxes,
    /// COCO's run-length encoding.
    #[schema(value_type = Option<Object>)]
    mask_rle: Option<serde_json::Value>,
    /// Where the cut-out region is.
    crop: Option<String>,
}

/// x0, y0, x1, y1 from the top left.
#[derive(Serialize, ToSchema)]
struct Boxes {
    #[schema(min_items = 4, max_items = 4)]
    points: [f32; 4],
    #[schema(min_items = 4, max_items = 4)]
    pixels: [f32; 4],
    /// Of the page's width and height.
    #[schema(min_items = 4, max_items = 4)]
    ratio: [f32; 4],
}

impl Detection {
    pub fn new(document_id: i64, row: FoundRow, page: &PageRow) -> Self {
        let pixels = [row.x0_px, row.y0_px, row.x1_px, row.y1_px];
        let size = [page.width_px as f32, page.height_px as f32];
        let crop = format!("{}/pages/{}/crops/{}", location(document_id), row.page, row.ordinal);
        Self {
            page: row.page,
            ordinal: row.ordinal,
            class_id: row.class_id,
            label: row.label,
            score: row.score,
            r#box: Boxes {
                points: [row.x0_pt, row.y0_pt, row.x1_pt, row.y1_pt],
                pixels,
                ratio: std::array::from_fn(|i| pixels[i] / size[i % 2]),
            },
            mask_rle: row.mask_rle,
            crop: row.crop_key.map(|_| crop),
        }
    }
}

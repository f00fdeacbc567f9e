//! What is told of a document beside its pages: facts, downloads, attempts.

use time::OffsetDateTime;

use super::list::rfc3339;
use super::viewer::object_url;
use super::words;
use crate::admin::format::{Time, bytes, count, duration};
use crate::api::v1::export::Format;
use crate::documents::{DocumentRow, Status};
use crate::queue::{AttemptOutcome, AttemptRow};

/// Attempts that are told, the last ones.
const MOST_ATTEMPTS: usize = 100;

pub struct Fact {
    pub name: &'static str,
    pub value: String,
    pub datetime: String,
    pub is_code: bool,
}

pub struct Download {
    pub label: &'static str,
    pub detail: String,
    pub url: String,
}

pub struct Attempt {
    pub number: usize,
    pub started_at: String,
    pub took: String,
    pub outcome: &'static str,
    pub is_failure: bool,
    pub worker: String,
    pub message: String,
}

pub fn facts(row: &DocumentRow) -> Vec<Fact> {
    let text =
        |name, value: Option<String>| Some(Fact { name, value: value?, datetime: String::new(), is_code: false });
    let code = |name, value: Option<String>| Some(Fact { is_code: true, ..text(name, value)? });
    let time = |name, time: Option<OffsetDateTime>| {
        let Time { iso, text } = time.into();
        (!iso.is_empty()).then_some(Fact { name, value: text, datetime: iso, is_code: false })
    };
    let between = |from: Option<OffsetDateTime>, to: Option<OffsetDateTime>| {
        Some(duration((to? - from?).as_seconds_f64().max(0.0)))
    };
    let score = |score: Option<f32>| Some(score.map_or("the worker's own".into(), |score| score.to_string()));
    let all = [
        text("Pages", pages(row)),
        text("File size", row.size.map(bytes)),
        text("Model", row.model_name.clone()),
        code("Model's SHA-256", row.model_sha256.clone()),
        text("Model asked for", row.wanted_model.clone()),
        text("Least score", score(row.score_threshold)),
        text("Crops from score", score(row.crop_min_score)),
        text("Priority", Some(row.priority.to_string())),
        time("Added", Some(row.created_at)),
        time("Queued last", row.queued_at.filter(|_| row.run > 1)),
        text("Times queued", (row.run > 1).then(|| row.run.to_string())),
        text("Waited", between(row.queued_at, row.started_at)),
        text("Processed in", between(row.started_at, row.finished_at)),
        code("From", row.source_url.clone()),
        code("Tells", row.callback_url.clone()),
        code("SHA-256", row.sha256.clone()),
    ];
    all.into_iter().flatten().collect()
}

/// `12 of 58 (1-12)`
fn pages(row: &DocumentRow) -> Option<String> {
    let in_file = row.pages_in_file?;
    Some(match (&row.page_range, row.page_count) {
        (Some(range), Some(wanted)) => format!("{wanted} of {in_file} ({range})"),
        _ => in_file.to_string(),
    })
}

/// The file once it is in the bucket, and exports once there are results.
pub fn downloads(row: &DocumentRow, has_results: bool) -> Vec<Download> {
    let is_stored = row.source_url.is_none() || row.sha256.is_some();
    let url = match row.object_key.starts_with("media/") {
        true => object_url(&row.object_key),
        // Only the bucket serves what an operator registered.
        false => format!("/api/v1/documents/{}/file", row.id),
    };
    let original = Download { label: "Original", detail: row.size.map(bytes).unwrap_or_default(), url };
    let export = |format: Format| Download {
        label: format.label(),
        detail: format.what().into(),
        url: format!("/api/v1/documents/{}/export?format={}", row.id, format.name()),
    };
    let exports = Format::ALL.map(export).into_iter().filter(|_| has_results);
    Some(original).filter(|_| is_stored).into_iter().chain(exports).collect()
}

/// In words, in order.
pub fn attempts(rows: Vec<AttemptRow>) -> Vec<Attempt> {
    let skipped = rows.len().saturating_sub(MOST_ATTEMPTS);
    rows.into_iter().enumerate().skip(skipped).map(|(i, row)| attempt(i + 1, row)).collect()
}

fn attempt(number: usize, row: AttemptRow) -> Attempt {
    let (outcome, is_failure, otherwise) = match row.outcome {
        AttemptOutcome::Done => ("Done", false, ""),
        AttemptOutcome::Failed => ("Failed, tried again", true, "The worker did not say why."),
        AttemptOutcome::GaveUp => ("Failed for good", true, "The worker did not say why."),
        AttemptOutcome::HandedBack => {
            ("Handed back", false, "The worker was stopped, so another one went on. This does not count as an attempt.")
        }
        AttemptOutcome::WorkerDied => ("Worker died", true, "The worker was not heard of any more."),
    };
    let took = row.started_at.map(|start| duration((row.ended_at - start).as_seconds_f64().max(0.0)));
    Attempt {
        number,
        started_at: rfc3339(row.started_at.unwrap_or(row.ended_at)),
        took: took.unwrap_or_default(),
        outcome,
        is_failure,
        worker: row.worker.map(|id| format!("worker {id}")).unwrap_or_default(),
        message: row.error.as_deref().map_or(otherwise, words::reason).to_owned(),
    }
}

/// Where a document stands, beside its status; empty if there is nothing to say.
pub fn progress(row: &DocumentRow, next_attempt_at: Option<OffsetDateTime>, position: Option<i64>) -> String {
    match (row.status, next_attempt_at, position) {
        (Status::Pending, Some(at), _) => {
            format!("Next try in {}", duration((at - OffsetDateTime::now_utc()).as_seconds_f64().max(1.0)))
        }
        (Status::Pending, None, Some(1)) => "Next in the queue".into(),
        (Status::Pending, None, Some(place)) => format!("No. {place} in the queue"),
        (Status::Processing, ..) if row.page_count.is_none() => "The file is opened".into(),
        (Status::Processing, ..) => words::pages_done(row),
        (Status::Canceled, ..) if row.pages_done > 0 => format!("After {}", count(row.pages_done.into(), "page")),
        _ => String::new(),
    }
}

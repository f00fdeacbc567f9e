//! What runs, what waits and why, and what gave up.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::{HttpRequest, web};
use askama::Template;

use super::assets::filters;
use super::charts::{Chart, latency, throughput};
use super::error::{Error, Result};
use super::fields::Posted;
use super::format::{Time, duration};
use super::page::{self, Page, see_other};
use super::visitor::Visitor;
use crate::accounts::{Action, Role};
use crate::api::State;
use crate::api::session::set_flash;
use crate::documents;
use crate::queue::{self, HourRow, JobFilter, JobRow, PausedQueue, QueueHealth, WorkerRow};

const PATH: &str = "/admin/queue/";
/// Jobs of each kind that are listed.
const ROWS: i64 = 50;
/// The last 24 hours change slowly, and pages that refresh themselves ask often.
const FRESH: Duration = Duration::from_secs(30);
const LATELY: Duration = Duration::from_secs(5 * 60);

static HOURS: Mutex<Option<Hours>> = Mutex::new(None);

/// As they were at a time.
#[derive(Clone)]
struct Hours {
    at: Instant,
    rows: Vec<HourRow>,
}

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    page: Page,
    queues: Vec<Queue>,
    tiles: Vec<Tile>,
    charts: [Chart; 2],
    running_count: i64,
    has_running: bool,
    running: Vec<Job>,
    waiting_count: i64,
    has_waiting: bool,
    waiting: Vec<Job>,
    waiting_more: i64,
    dead_count: i64,
    has_dead: bool,
    dead: Vec<Job>,
    dead_more: i64,
    workers_count: usize,
    has_workers: bool,
    workers: Vec<Worker>,
}

struct Queue {
    name: &'static str,
    label: &'static str,
    paused: bool,
    since: Time,
}

struct Tile {
    label: &'static str,
    value: String,
    unit: &'static str,
    alert: bool,
}

struct Job {
    key: String,
    document_id: i64,
    title: String,
    /// Of a chunk.
    pages: String,
    why: String,
    error: String,
    attempts: i32,
    worker: String,
    page: i32,
    page_count: i32,
    progress: String,
    since: Time,
    priority: i32,
}

struct Worker {
    id: i32,
    host: String,
    pid: i32,
    state: String,
    state_class: &'static str,
    model: String,
    jobs: i64,
    memory: String,
    heartbeat: String,
    started: Time,
}

impl Job {
    /// `None` for a webhook's, which has no document.
    fn new(job: JobRow, workers: &[WorkerRow]) -> Option<Self> {
        let name = |id: i32| match workers.iter().find(|worker| worker.id == id) {
            Some(worker) => format!("worker {id} on {}", worker.host),
            None => format!("worker {id}"),
        };
        let (done, count) = (job.pages_done.unwrap_or(0), job.page_count.unwrap_or(0));
        let chunk = job.chunk.zip(job.chunk_pages).filter(|(_, pages)| *pages < count);
        Some(Self {
            key: job.id,
            document_id: job.document_id?,
            title: job.title.unwrap_or_default(),
            pages: chunk
                .map(|(n, pages)| format!("part {} of {}", n + 1, (count + pages - 1) / pages))
                .unwrap_or_default(),
            why: job.state,
            error: job.error.unwrap_or_else(|| "no reason was left".to_owned()),
            attempts: job.attempts,
            worker: job.worker.map(name).unwrap_or_default(),
            page: done.min(count),
            page_count: count.max(1),
            progress: if count == 0 { "starting".to_owned() } else { format!("{done} of {count}") },
            since: job.since.into(),
            priority: job.priority,
        })
    }
}

impl From<WorkerRow> for Worker {
    fn from(worker: WorkerRow) -> Self {
        Self {
            id: worker.id,
            host: worker.host,
            pid: worker.pid,
            state_class: match worker.state.as_str() {
                "alive" => "alive",
                "suspected" => "warning",
                "stopped" | "replaced" => "disabled",
                _ => "error",
            },
            state: worker.state,
            model: worker.model,
            jobs: worker.jobs,
            memory: worker.memory_mb.map_or_else(|| "–".to_owned(), |mb| format!("{mb} MB")),
            heartbeat: format!("{} ago", duration(worker.silent_seconds)),
            started: worker.started_at.into(),
        }
    }
}

fn tiles(health: &QueueHealth, dead: i64, pages_lately: i64) -> Vec<Tile> {
    let tile = |label, value: String| Tile { label, value, unit: "", alert: false };
    let wait = health.oldest_wait_seconds.map_or_else(|| "–".to_owned(), |seconds| duration(seconds.max(0.0)));
    let a_minute = pages_lately as f64 / (LATELY.as_secs_f64() / 60.0);
    vec![
        tile("Waiting", health.ready.to_string()),
        tile("Running", health.running.to_string()),
        tile("Scheduled retries", health.scheduled.to_string()),
        Tile { alert: dead > 0, ..tile("Dead", dead.to_string()) },
        tile("Longest wait", wait),
        tile("Pages per minute", format!("{a_minute:.1}")),
    ]
}

fn queues(paused: &[PausedQueue]) -> Vec<Queue> {
    let queue = |name: &'static str, label| {
        let since = paused.iter().find(|queue| queue.queue == name).map(|queue| queue.since);
        Queue { name, label, paused: since.is_some(), since: since.into() }
    };
    vec![queue("documents", "Documents"), queue("webhooks", "Webhooks")]
}

async fn hours(state: &State) -> Result<Vec<HourRow>> {
    let known = HOURS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(hours) = known.filter(|hours| hours.at.elapsed() < FRESH) {
        return Ok(hours.rows);
    }
    let rows = queue::hours(&state.pool).await?;
    let hours = Hours { at: Instant::now(), rows: rows.clone() };
    *HOURS.lock().unwrap_or_else(PoisonError::into_inner) = Some(hours);
    Ok(rows)
}

pub async fn show(request: HttpRequest, _: Visitor, state: web::Data<State>) -> Result {
    let pool = &state.pool;
    let (health, dead_count) = (queue::health(pool).await?, queue::dead(pool).await?);
    let (workers, hours) = (queue::workers(pool).await?, hours(&state).await?);
    let (live, dead) = (
        queue::jobs(pool, JobFilter::Live, None, 2 * ROWS).await?,
        queue::jobs(pool, JobFilter::Dead, None, ROWS).await?,
    );
    let (running, waiting): (Vec<JobRow>, Vec<JobRow>) = live.into_iter().partition(|job| job.state == "runs");
    let list = |jobs: Vec<JobRow>| -> Vec<Job> {
        jobs.into_iter().filter_map(|job| Job::new(job, &workers)).take(ROWS as usize).collect()
    };
    let (running, waiting, dead) = (list(running), list(waiting), list(dead));
    let waiting_count = health.ready + health.scheduled;
    let page = QueuePage {
        page: Page::new(&request, "queue", "Queue"),
        queues: queues(&queue::paused(pool).await?),
        tiles: tiles(&health, dead_count, queue::pages_since(pool, LATELY).await?),
        charts: [throughput(&hours), latency(&hours)],
        running_count: health.running,
        has_running: !running.is_empty(),
        running,
        waiting_count,
        has_waiting: !waiting.is_empty(),
        waiting_more: (waiting_count - waiting.len() as i64).max(0),
        waiting,
        dead_count,
        has_dead: !dead.is_empty(),
        dead_more: (dead_count - dead.len() as i64).max(0),
        dead,
        workers_count: workers.len(),
        has_workers: !workers.is_empty(),
        workers: workers.into_iter().map(Worker::from).collect(),
    };
    page::show(&page)
}

pub async fn pause(request: HttpRequest, posted: Posted, state: web::Data<State>) -> Result {
    set_paused(request, posted, state, true).await
}

pub async fn resume(request: HttpRequest, posted: Posted, state: web::Data<State>) -> Result {
    set_paused(request, posted, state, false).await
}

async fn set_paused(request: HttpRequest, posted: Posted, state: web::Data<State>, paused: bool) -> Result {
    posted.by.needs(Role::Operator)?;
    let queues = queues(&[]);
    let queue = queues.iter().find(|queue| queue.name == posted.fields.text("queue")).ok_or(Error::NotFound)?;
    let mut tx = documents::begin(&state.pool).await?;
    let (changed, action, now) = match paused {
        true => {
            (queue::pause(&mut tx, queue.name).await?, Action::PauseQueue, "are paused; what runs goes on to its end")
        }
        false => (queue::resume(&mut tx, queue.name).await?, Action::ResumeQueue, "go on"),
    };
    if changed {
        posted.by.requester(&state, &request).record(&mut tx, action, None, queue.name).await?;
        tx.commit().await?;
    }
    set_flash(&request, &format!("{} {now}.", queue.label));
    Ok(see_other(PATH))
}

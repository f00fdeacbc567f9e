//! `GET /api/v1/documents/{id}/events`: Server-Sent Events from PostgreSQL's NOTIFY, resumable by Last-Event-ID.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::ContentEncoding;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, stream};
use serde_json::json;
use sqlx::PgPool;
use time::format_description::well_known::Rfc3339;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::params::path;
use super::problem::Result;
use super::results::find_document;
use crate::api::State;
use crate::database::{self, in_time};
use crate::documents::{self, CHANNEL, Event};

/// Events that are sent at once.
const BATCH: i64 = 1000;
/// For the database.
const ANSWER: Duration = Duration::from_secs(10);
/// Proxies close connections that are silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Ids of documents with new events, for everybody in this process who waits for one; `None` where some may have been missed.
#[derive(Clone)]
pub struct EventHub(broadcast::Sender<Option<i64>>);

/// What hears of events; it must be stopped before the runtime ends.
pub struct EventListener {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl EventListener {
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// One waiter.
pub struct Changes(broadcast::Receiver<Option<i64>>);

impl EventHub {
    /// Listens on a connection of its own until it is stopped; a lost one is opened again.
    pub fn start(pool: &PgPool) -> (Self, EventListener) {
        let (sender, _) = broadcast::channel(256);
        let stop = CancellationToken::new();
        let options = pool.connect_options().as_ref().clone().application_name("docreader server events");
        let (hub, stopped) = (Self(sender.clone()), stop.clone());
        let task = actix_web::rt::spawn(async move {
            let heard = |payload: Option<&str>| {
                let id = payload.map(str::parse).transpose();
                // Nobody may be waiting.
                let _ = id.map(|id| sender.send(id));
            };
            // The connection is dropped in here, where there is a runtime to close it.
            stopped.run_until_cancelled(database::listen(&options, CHANNEL, heard)).await;
        });
        (hub, EventListener { stop, task })
    }

    pub fn subscribe(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

impl Changes {
    /// Returns when one of the documents may have changed: on word of it, when words were missed, and now and then in any case.
    pub async fn of(&mut self, ids: &[i64]) {
        let word = async {
            loop {
                match self.0.recv().await {
                    Ok(Some(changed)) if !ids.contains(&changed) => {}
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let _ = tokio::time::timeout(KEEP_ALIVE, word).await;
        // Who looks now sees what the words said that have come meanwhile.
        while self.0.try_recv().is_ok() {}
    }
}

/// Where a stream stands.
struct Reader {
    state: web::Data<State>,
    document: i64,
    after: i64,
    changes: Changes,
    over: bool,
    /// Nothing more is known, so the next thing to do is to wait.
    caught_up: bool,
}

/// Follow a document
///
/// Server-Sent Events `queued`, `started`, `page`, `done`, `failed`, `canceled`; the stream ends after one of the last three.
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/events", tag = "documents", operation_id = "follow_document",
    params(
        ("id" = i64, Path, minimum = 1),
        ("Last-Event-ID" = Option<String>, Header, description = "Goes on after this event"),
    ),
    responses((status = 200, description = "Events", body = String, content_type = "text/event-stream"))
)]
pub async fn stream(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let document: i64 = path(&request, "id")?;
    find_document(&state, document).await?;
    let last = request.headers().get("Last-Event-ID").and_then(|v| v.to_str().ok()?.parse().ok());
    let changes = state.events.subscribe();
    let reader = Reader { state, document, after: last.unwrap_or(0), changes, over: false, caught_up: false };
    let body = stream::unfold(reader, |mut reader| async {
        let chunk = reader.next().await?;
        Some((Ok::<_, Infallible>(chunk), reader))
    });
    Ok(event_stream(body))
}

/// An answer of events as they come.
pub fn event_stream(body: impl Stream<Item = std::result::Result<Bytes, Infallible>> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header(("Cache-Control", "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        // An encoder would keep events until there are enough.
        .insert_header(ContentEncoding::Identity)
        .streaming(body)
}

impl Reader {
    /// The next events as text, a comment to keep the connection, or the end after the last event.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        if self.caught_up {
            self.changes.of(&[self.document]).await;
        }
        let events = documents::events_after(&self.state.pool, self.document, self.after, BATCH);
        let events = match in_time(ANSWER, events).await {
            Ok(events) => events,
            Err(error) => {
                // The client comes back with the id of the last event it has.
                tracing::warn!(%error, "an event stream ends early");
                return None;
            }
        };
        // A full batch is followed by the next one at once.
        self.caught_up = (events.len() as i64) < BATCH;
        let Some(last) = events.last() else {
            self.over = matches!(in_time(ANSWER, documents::get(&self.state.pool, self.document)).await, Ok(None));
            return Some(Bytes::from_static(b": waiting\n\n"));
        };
        self.after = last.id;
        self.over = last.is_last();
        Some(events.iter().map(format).collect::<String>().into())
    }
}

fn format(event: &Event) -> String {
    let at = event.created_at.format(&Rfc3339).unwrap_or_default();
    let mut data = event.data.clone();
    if let Some(data) = data.as_object_mut() {
        data.insert("at".into(), json!(at));
    }
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind)
}

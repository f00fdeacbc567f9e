//! Progress of the documents that a page shows, by Server-Sent Events.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;

use super::MOST_AT_ONCE;
use crate::admin::error::{Error, Result};
use crate::admin::fields::query;
use crate::admin::visitor::Visitor;
use crate::api::v1::events::{Changes, event_stream};
use crate::api::{ANSWER, State};
use crate::database::in_time;
use crate::documents::{self, Progress};

/// Changes within this time are told together.
const PAUSE: Duration = Duration::from_millis(250);

/// Where a stream stands.
struct Reader {
    state: web::Data<State>,
    /// Documents that have not ended, as far as they were told of.
    live: BTreeMap<i64, Option<Progress>>,
    changes: Changes,
    has_begun: bool,
}

/// First tells where each document stands, then what changes; ends when all of them have ended.
pub async fn stream(request: HttpRequest, _: Visitor, state: web::Data<State>) -> Result<HttpResponse> {
    let query = query(&request);
    let ids: Option<BTreeSet<i64>> = query.text("ids").split(',').map(|id| id.parse().ok()).collect();
    let ids = ids.filter(|ids| ids.len() <= MOST_AT_ONCE);
    let ids = ids.ok_or_else(|| Error::BadRequest(format!("ids: up to {MOST_AT_ONCE} numbers with commas between")))?;
    let live = ids.into_iter().map(|id| (id, None)).collect();
    let reader = Reader { changes: state.events.subscribe(), state, live, has_begun: false };
    Ok(event_stream(stream::unfold(reader, |mut reader| async {
        let chunk = reader.next().await?;
        Some((Ok::<_, Infallible>(chunk), reader))
    })))
}

impl Reader {
    /// What has changed as text, a comment to keep the connection, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.live.is_empty() {
            return None;
        }
        let ids: Vec<i64> = self.live.keys().copied().collect();
        if self.has_begun {
            tokio::time::sleep(PAUSE).await;
            self.changes.of(&ids).await;
        }
        self.has_begun = true;
        match in_time(ANSWER, documents::progress(&self.state.pool, &ids)).await {
            Ok(found) => Some(self.tell(found)),
            Err(error) => {
                // The browser asks again.
                tracing::warn!(%error, "an event stream ends early");
                None
            }
        }
    }

    fn tell(&mut self, found: Vec<Progress>) -> Bytes {
        let is_there = |id: &i64| found.iter().any(|progress| progress.id == *id);
        self.live.retain(|id, _| is_there(id));
        let mut text = String::new();
        for progress in found {
            let told = self.live.entry(progress.id).or_default();
            if told.as_ref() != Some(&progress) {
                let data = serde_json::to_string(&progress).unwrap_or_default();
                text += &format!("event: document\ndata: {data}\n\n");
            }
            if progress.status.is_final() {
                self.live.remove(&progress.id);
            } else {
                *told = Some(progress);
            }
        }
        if text.is_empty() { Bytes::from_static(b": waiting\n\n") } else { text.into() }
    }
}

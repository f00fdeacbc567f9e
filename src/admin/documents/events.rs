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

/// Documents that have not ended, and what was told of them.
struct Live(BTreeMap<i64, Option<Progress>>);

/// Where a stream stands.
struct Reader {
    state: web::Data<State>,
    live: Live,
    changes: Changes,
    has_begun: bool,
}

/// First tells where each document stands, then what changes; ends when all of them have ended.
pub async fn stream(request: HttpRequest, _: Visitor, state: web::Data<State>) -> Result<HttpResponse> {
    let query = query(&request);
    let ids: Option<BTreeSet<i64>> = query.text("ids").split(',').map(|id| id.parse().ok()).collect();
    let ids = ids.filter(|ids| ids.len() <= MOST_AT_ONCE);
    let ids = ids.ok_or_else(|| Error::BadRequest(format!("ids: up to {MOST_AT_ONCE} numbers with commas between")))?;
    let live = Live(ids.into_iter().map(|id| (id, None)).collect());
    let reader = Reader { changes: state.events.subscribe(), state, live, has_begun: false };
    Ok(event_stream(stream::unfold(reader, |mut reader| async {
        let chunk = reader.next().await?;
        Some((Ok::<_, Infallible>(chunk), reader))
    })))
}

impl Reader {
    /// What has changed as text, a comment to keep the connection, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        let ids: Vec<i64> = self.live.0.keys().copied().collect();
        if ids.is_empty() {
            return None;
        }
        if self.has_begun {
            tokio::time::sleep(PAUSE).await;
            self.changes.of(&ids).await;
        }
        self.has_begun = true;
        match in_time(ANSWER, documents::progress(&self.state.pool, &ids)).await {
            Ok(found) => Some(self.live.tell(found).into()),
            Err(error) => {
                // The browser asks again.
                tracing::warn!(%error, "an event stream ends early");
                None
            }
        }
    }
}

impl Live {
    /// Events of those that have changed; a comment if none has. Those that are gone are followed no more.
    fn tell(&mut self, found: Vec<Progress>) -> String {
        self.0.retain(|id, _| found.iter().any(|progress| progress.id == *id));
        let mut text = String::new();
        for progress in found {
            if self.0.get(&progress.id).is_some_and(|told| told.as_ref() == Some(&progress)) {
                continue;
            }
            let data = serde_json::to_string(&progress).unwrap_or_default();
            text += &format!("event: document\ndata: {data}\n\n");
            match progress.status.is_final() {
                true => self.0.remove(&progress.id),
                false => self.0.insert(progress.id, Some(progress)),
            };
        }
        if text.is_empty() { ": waiting\n\n".into() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::Status;

    #[test]
    fn only_changes_are_told_until_the_end() {
        let progress =
            |id, status, pages_done| Progress { id, status, pages_done, pages_failed: 0, page_count: Some(2) };
        let mut live = Live(BTreeMap::from([(1, None), (2, None), (3, None)]));
        let first = live.tell(vec![progress(1, Status::Processing, 1), progress(2, Status::Pending, 0)]);
        let line = r#"data: {"id":1,"status":"processing","pages_done":1,"pages_failed":0,"page_count":2}"#;
        assert!(first.starts_with(&format!("event: document\n{line}\n\n")), "{first}");
        assert_eq!(first.matches("event: document").count(), 2);
        assert!(!live.0.contains_key(&3));
        let second = live.tell(vec![progress(1, Status::Done, 2), progress(2, Status::Pending, 0)]);
        assert_eq!(second.matches("event: document").count(), 1);
        assert_eq!(live.tell(vec![progress(2, Status::Pending, 0)]), ": waiting\n\n");
        assert_eq!(live.0.len(), 1);
        live.tell(vec![progress(2, Status::Canceled, 0)]);
        assert!(live.0.is_empty());
    }
}

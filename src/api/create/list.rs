//! All documents. Few are one answer; many are sent bit by bit, so that neither memory nor other requests suffer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::header::RETRY_AFTER;
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_util::stream;

use super::error::Refused;
use super::negotiate::Renderer;
use super::{DocumentJson, drf, page};
use crate::api::client::Client;
use crate::api::media::UrlBase;
use crate::api::{ANSWER, State};
use crate::database::in_time;
use crate::documents::{self, Listed};

/// Documents that are read at once, and the most that one answer holds.
const BATCH: i64 = 1000;

/// Clients that are being sent all documents: each may ask for them once at a time.
#[derive(Clone, Default)]
pub struct Listings(Arc<Mutex<HashSet<Client>>>);

/// A client's list is under way while this lives.
struct Listing {
    listings: Listings,
    client: Client,
}

impl Listings {
    fn begin(&self, client: Client) -> Option<Listing> {
        let begun = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(client);
        begun.then(|| Listing { listings: self.clone(), client })
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.listings.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.client);
    }
}

pub async fn list(request: &HttpRequest, client: Client, renderer: Renderer, state: web::Data<State>) -> HttpResponse {
    let base = state.url_base(request);
    if renderer == Renderer::Html {
        return browsable(request, &state, &base).await;
    }
    let mut rows = match in_time(ANSWER, documents::list_after(&state.pool, 0, BATCH + 1)).await {
        Ok(rows) => rows,
        Err(error) => return Refused::from(error).answer(request, renderer),
    };
    if rows.len() as i64 <= BATCH {
        return drf::answer(request, renderer, StatusCode::OK, &json(&state, &base, &rows));
    }
    if request.method() == Method::HEAD {
        return drf::stream(renderer, stream::empty::<Result<Bytes, sqlx::Error>>());
    }
    rows.truncate(BATCH as usize);
    let Some(listing) = state.listings.begin(client) else {
        let text = "Request was throttled. You are being sent this list already.";
        let mut response = drf::detail(request, renderer, StatusCode::TOO_MANY_REQUESTS, text);
        response.headers_mut().insert(RETRY_AFTER, 1.into());
        return response;
    };
    let reader = Reader { state, base, renderer, rows, first: true, _listing: listing };
    drf::stream(renderer, stream::try_unfold(Some(reader), Reader::next))
}

/// A part of the list for people, who go on from there: `?after=` is the last document of the part before.
async fn browsable(request: &HttpRequest, state: &State, base: &UrlBase) -> HttpResponse {
    let query = form_urlencoded::parse(request.query_string().as_bytes());
    let after = query.filter(|(name, _)| name == "after").last().and_then(|(_, id)| id.parse().ok()).unwrap_or(0);
    let mut rows = match in_time(ANSWER, documents::list_after(&state.pool, after, page::PAGE + 1)).await {
        Ok(rows) => rows,
        Err(error) => return Refused::from(error).answer(request, Renderer::Html),
    };
    let more = rows.len() as i64 > page::PAGE;
    rows.truncate(page::PAGE as usize);
    let documents = rows.iter().map(|row| (row.id, row.title.clone())).collect();
    let next = rows.last().map(|row| row.id).filter(|_| more);
    request.extensions_mut().insert(page::Context { documents, next, ..Default::default() });
    drf::answer(request, Renderer::Html, StatusCode::OK, &json(state, base, &rows))
}

fn json<'a>(state: &State, base: &UrlBase, rows: &'a [Listed]) -> Vec<DocumentJson<'a>> {
    rows.iter().map(|row| DocumentJson { title: &row.title, file: state.file_url(base, &row.object_key) }).collect()
}

/// Where a list stands.
struct Reader {
    state: web::Data<State>,
    base: UrlBase,
    renderer: Renderer,
    /// Those that are next.
    rows: Vec<Listed>,
    first: bool,
    _listing: Listing,
}

impl Reader {
    /// The next part of the text, which all together is one list.
    async fn next(reader: Option<Self>) -> Result<Option<(Bytes, Option<Self>)>, anyhow::Error> {
        let Some(mut reader) = reader else { return Ok(None) };
        let indent = reader.renderer.indent();
        let (open, close, comma) = if indent == 0 { ("[", "]", ",") } else { ("[\n", "\n]", ",\n") };
        let Some(last) = reader.rows.last().map(|row| row.id) else { return Ok(Some((close.into(), None))) };
        let text = drf::to_text(&json(&reader.state, &reader.base, &reader.rows), indent)?;
        let inner = &text[open.len()..text.len() - close.len()];
        let text = format!("{}{inner}", if std::mem::take(&mut reader.first) { open } else { comma });
        // A client that is cut off in the middle knows it by the missing end.
        reader.rows = in_time(ANSWER, documents::list_after(&reader.state.pool, last, BATCH)).await?;
        Ok(Some((text.into(), Some(reader))))
    }
}

//! The list of documents: search, filters, and pages that begin after a document.

use std::collections::HashMap;

use actix_web::{HttpRequest, web};
use askama::Template;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::viewer::object_url;
use super::words::{self, status_label};
use crate::admin::assets::filters;
use crate::admin::error::{Error, Result};
use crate::admin::fields::{Fields, query};
use crate::admin::format::{ago, count, grouped};
use crate::admin::page::{self, Page};
use crate::admin::visitor::Visitor;
use crate::api::State;
use crate::documents::{self, Cursor, DocumentRow, Filter, MOST_REGIONS, Status, Summary};

const PATH: &str = "/admin/documents/";
/// Documents of a page.
const LIMIT: i64 = 25;

#[derive(Template)]
#[template(path = "documents.html")]
struct ListPage {
    page: Page,
    filter_title: String,
    is_filtered: bool,
    has_any: bool,
    statuses: Vec<Choice>,
    sort: &'static str,
    documents: Vec<Row>,
    has_documents: bool,
    first_url: String,
    next_url: String,
    here: String,
    shown: String,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    selected: bool,
}

/// Texts are empty where there is nothing to say.
struct Row {
    id: i64,
    title: String,
    status: &'static str,
    status_label: &'static str,
    is_live: bool,
    thumbnail: String,
    pages_done: i32,
    page_count: i32,
    progress: String,
    pages: String,
    regions: String,
    created_at: String,
    age: String,
    error: String,
    warning: String,
}

pub async fn show(request: HttpRequest, _: Visitor, state: web::Data<State>) -> Result {
    let filter = filter(&query(&request))?;
    let part = documents::search(&state.pool, &filter).await?;
    let ids: Vec<i64> = part.documents.iter().map(|row| row.id).collect();
    let summaries = if ids.is_empty() { vec![] } else { documents::summaries(&state.pool, &ids).await? };
    let mut summaries: HashMap<i64, Summary> = summaries.into_iter().map(|s| (s.document_id, s)).collect();
    let rows: Vec<Row> = part.documents.into_iter().map(|row| Row::new(summaries.remove(&row.id), row)).collect();
    let is_filtered = filter.title.is_some() || filter.status.is_some();
    page::show(&ListPage {
        page: Page::new(&request, "documents", "Documents"),
        is_filtered,
        has_any: !rows.is_empty() || is_filtered || filter.after.is_some(),
        statuses: statuses(filter.status),
        sort: if filter.oldest_first { "oldest" } else { "newest" },
        has_documents: !rows.is_empty(),
        shown: count(rows.len() as i64, "document"),
        documents: rows,
        first_url: filter.after.map(|_| url(&filter, None)).unwrap_or_default(),
        next_url: part.next.map(|cursor| url(&filter, Some(cursor))).unwrap_or_default(),
        here: request.uri().path_and_query().map_or(PATH, |path| path.as_str()).to_owned(),
        filter_title: filter.title.unwrap_or_default(),
    })
}

/// An empty field is one that is not there.
fn filter(query: &Fields) -> Result<Filter> {
    let given = |name| Some(query.text(name)).filter(|text| !text.is_empty());
    let no_status = |_| Error::BadRequest("There is no such status; choose one of the list.".into());
    let no_place = || Error::BadRequest("The list cannot go on from there; begin with its first page.".into());
    Ok(Filter {
        status: given("status").map(|name| Status::try_from(name.to_owned())).transpose().map_err(no_status)?,
        // No title has null characters, and the database takes none.
        title: given("title").map(|title| title.replace('\0', "\u{fffd}")),
        oldest_first: query.text("sort") == "oldest",
        after: given("cursor").map(|text| Cursor::parse(text).ok_or_else(no_place)).transpose()?,
        limit: LIMIT,
        ..Filter::default()
    })
}

/// The same list from a place on.
fn url(filter: &Filter, after: Option<Cursor>) -> String {
    let fields = [
        ("title", filter.title.clone()),
        ("status", filter.status.map(|status| status.name().to_owned())),
        ("sort", filter.oldest_first.then(|| "oldest".to_owned())),
        ("cursor", after.map(|cursor| cursor.to_string())),
    ];
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    match query.finish() {
        query if query.is_empty() => PATH.to_owned(),
        query => format!("{PATH}?{query}"),
    }
}

fn statuses(chosen: Option<Status>) -> Vec<Choice> {
    let all = Choice { value: "", label: "All", selected: chosen.is_none() };
    let one =
        |status: Status| Choice { value: status.name(), label: status_label(status), selected: chosen == Some(status) };
    std::iter::once(all).chain(Status::ALL.map(one)).collect()
}

impl Row {
    fn new(summary: Option<Summary>, row: DocumentRow) -> Self {
        let (thumbnail, regions) = summary.map(|summary| (summary.thumbnail_key, summary.regions)).unzip();
        let (thumbnail, regions) =
            (thumbnail.flatten(), regions.filter(|_| row.pages_done > 0 || row.shown_run.is_some()));
        Self {
            id: row.id,
            status: row.status.name(),
            status_label: status_label(row.status),
            is_live: !row.status.is_final(),
            thumbnail: thumbnail.as_deref().map(object_url).unwrap_or_default(),
            pages_done: row.pages_done,
            page_count: row.page_count.unwrap_or(0),
            progress: words::pages_done(&row),
            pages: row.page_count.map(|count| grouped(count.into())).unwrap_or_default(),
            regions: regions.map(regions_text).unwrap_or_default(),
            created_at: rfc3339(row.created_at),
            age: ago(row.created_at),
            error: words::error(&row),
            warning: words::warning(&row),
            title: row.title,
        }
    }
}

fn regions_text(regions: i64) -> String {
    if regions > MOST_REGIONS { format!("{}+", grouped(MOST_REGIONS)) } else { grouped(regions) }
}

/// For scripts.
pub fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_the_filters() {
        let parse = |query: &str| filter(&Fields::parse(query.as_bytes()));
        let all = parse("title=&status=&sort=newest&cursor=").unwrap();
        assert_eq!(url(&all, None), PATH);
        let filter = parse("title=a%26b&status=failed&sort=oldest&cursor=7-1000").unwrap();
        let wanted = "/admin/documents/?title=a%26b&status=failed&sort=oldest";
        assert_eq!(url(&filter, None), wanted);
        assert_eq!(url(&filter, filter.after), format!("{wanted}&cursor=7-1000"));
        assert!(parse("status=lost").is_err() && parse("cursor=x").is_err());
        assert_eq!(parse("title=%00").unwrap().title.as_deref(), Some("\u{fffd}"));
    }

    #[test]
    fn many_regions_are_not_counted() {
        assert_eq!([0, 20_000, 20_001].map(regions_text), ["0", "20,000", "20,000+"]);
    }
}

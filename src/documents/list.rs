//! Lists of documents: a statement of its own for each combination of filters, planned for its values, so that each finds its index.

use std::fmt;

use sqlx::{PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::{DocumentRow, Status};

/// Which documents a list holds, and from where on.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub status: Option<Status>,
    /// Part of the title, without regard to case.
    pub title: Option<String>,
    pub created_after: Option<OffsetDateTime>,
    pub created_before: Option<OffsetDateTime>,
    pub oldest_first: bool,
    /// After which the list goes on, in its order.
    pub after: Option<Cursor>,
    pub limit: i64,
}

/// A document's place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub id: i64,
    pub created_at: OffsetDateTime,
}

impl Cursor {
    /// As it is displayed; an id alone is one of an earlier version.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, micros) = text.split_once('-').unwrap_or((text, "0"));
        let id = id.parse().ok().filter(|&id: &i64| id > 0)?;
        let micros: i64 = micros.parse().ok()?;
        let created_at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok()?;
        Some(Self { id, created_at })
    }
}

impl fmt::Display for Cursor {
    /// The document's id, and when it was made, in microseconds since 1970.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.id, self.created_at.unix_timestamp_nanos() / 1000)
    }
}

/// A part of a list.
#[derive(Debug)]
pub struct Part {
    pub documents: Vec<DocumentRow>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// Documents that are looked through for a title that no index helps to find.
const WINDOW: i64 = 1000;

const COLUMNS: &str = "d.id, d.title, d.object_key, d.size, d.sha256, d.source_url, d.callback_url, d.wanted_model, d.status::text as status, d.page_range,
    d.pages_in_file, d.page_count, d.pages_done, d.pages_failed, d.shown_run, d.pages_run, d.error, d.error_code, d.priority, d.run,
    d.score_threshold, d.crop_min_score, m.name as model_name, m.sha256 as model_sha256, d.request_sha256, d.created_at, d.queued_at,
    d.started_at, d.finished_at";

/// A part of a list. It may hold fewer than were asked for although there is more: a title of one or two letters is looked for in some
/// thousand documents at a time.
pub async fn search(pool: &PgPool, filter: &Filter) -> sqlx::Result<Part> {
    let window = match &filter.title {
        Some(title) if !has_trigram(title) => window_end(pool, filter).await?,
        _ => None,
    };
    let mut query =
        QueryBuilder::new(format!("select {COLUMNS} from documents d left join models m on m.id = d.model_id"));
    conditions(&mut query, filter);
    if let Some(end) = window {
        beyond(&mut query, filter, end, !filter.oldest_first, true);
    }
    if let Some(title) = &filter.title {
        let pattern = title.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        query.push(" and d.title ilike ").push_bind(format!("%{pattern}%"));
    }
    order(&mut query, filter);
    // One more than asked for tells whether there is more.
    query.push(" limit ").push_bind(filter.limit + 1);
    // Not kept: a plan for all values reads all documents.
    let mut documents: Vec<DocumentRow> = query.build_query_as().persistent(false).fetch_all(pool).await?;
    let next = if documents.len() as i64 > filter.limit {
        documents.truncate(filter.limit as usize);
        documents.last().map(|row| Cursor { id: row.id, created_at: row.created_at })
    } else {
        window
    };
    Ok(Part { documents, next })
}

/// All but the title.
fn conditions(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    query.push(" where true");
    if let Some(status) = filter.status {
        // sqlx asks for a type of ours in the middle of a statement that is not kept, and loses that; so it sees none.
        query.push(format!(" and d.status = '{}'", status.name()));
    }
    if let Some(time) = filter.created_after {
        query.push(" and d.created_at >= ").push_bind(time);
    }
    if let Some(time) = filter.created_before {
        query.push(" and d.created_at < ").push_bind(time);
    }
    if let Some(cursor) = filter.after {
        beyond(query, filter, cursor, filter.oldest_first, false);
    }
}

fn by_date(filter: &Filter) -> bool {
    filter.created_after.is_some() || filter.created_before.is_some()
}

/// Only what comes after a document, or before it, in ascending order.
fn beyond(query: &mut QueryBuilder<Postgres>, filter: &Filter, cursor: Cursor, after: bool, inclusive: bool) {
    let operator = match (after, inclusive) {
        (true, false) => ">",
        (true, true) => ">=",
        (false, false) => "<",
        (false, true) => "<=",
    };
    if by_date(filter) {
        query.push(format!(" and (d.created_at, d.id) {operator} ("));
        query.push_bind(cursor.created_at).push(", ").push_bind(cursor.id).push(")");
    } else {
        query.push(format!(" and d.id {operator} ")).push_bind(cursor.id);
    }
}

fn order(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    query.push(match (by_date(filter), filter.oldest_first) {
        (false, false) => " order by d.id desc",
        (false, true) => " order by d.id",
        (true, false) => " order by d.created_at desc, d.id desc",
        (true, true) => " order by d.created_at, d.id",
    });
}

/// The last document to look through; `None` if those that are left are fewer.
async fn window_end(pool: &PgPool, filter: &Filter) -> sqlx::Result<Option<Cursor>> {
    // Its id alone is in the index that has the order.
    let mut query = QueryBuilder::new("select id, created_at from documents where id = (select d.id from documents d");
    conditions(&mut query, filter);
    order(&mut query, filter);
    query.push(" limit 1 offset ").push_bind(WINDOW - 1).push(")");
    let end: Option<(i64, OffsetDateTime)> = query.build_query_as().persistent(false).fetch_optional(pool).await?;
    Ok(end.map(|(id, created_at)| Cursor { id, created_at }))
}

/// Whether the index over titles helps, which knows three letters in a row.
fn has_trigram(title: &str) -> bool {
    title.split(|c: char| !c.is_alphanumeric()).any(|word| word.chars().count() >= 3)
}

/// What a list of all documents shows.
#[derive(Debug)]
pub struct Listed {
    pub id: i64,
    pub title: String,
    pub object_key: String,
}

/// Up to `limit` documents after one, oldest first.
pub async fn list_after(pool: &PgPool, after: i64, limit: i64) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(
        Listed,
        "select id, title, object_key from documents where id > $1 order by id limit $2",
        after,
        limit
    )
    .fetch_all(pool)
    .await
}

/// Those of the documents that there are, in order of their ids.
pub async fn listed(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<Listed>> {
    sqlx::query_as!(Listed, "select id, title, object_key from documents where id = any($1) order by id", ids)
        .fetch_all(pool)
        .await
}

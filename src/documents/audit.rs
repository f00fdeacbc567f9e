//! What rows and objects know of each other.

use std::collections::HashSet;

use futures_util::Stream;
use sqlx::PgPool;

/// A document and its object's key, for as long as all of them are looked through.
#[derive(Debug)]
pub struct DocumentKey {
    pub id: i64,
    pub object_key: String,
    /// The file must be in the bucket; that of others is still to be fetched.
    pub stored: bool,
}

/// All documents, in order of their ids.
pub fn document_keys(pool: &PgPool) -> impl Stream<Item = sqlx::Result<DocumentKey>> {
    sqlx::query_as!(
        DocumentKey,
        r#"select id, object_key, source_url is null or sha256 is not null as "stored!" from documents order by id"#
    )
    .fetch(pool)
}

/// Keys of uploads under way and of garbage.
pub async fn passing_keys(pool: &PgPool) -> sqlx::Result<HashSet<String>> {
    let keys = sqlx::query_scalar!(
        r#"select object_key as "key!" from uploads where document_id is null union select prefix from garbage"#
    );
    Ok(keys.fetch_all(pool).await?.into_iter().collect())
}

/// Whether a document has that object now, or one of that id is there.
pub async fn document_is_there(pool: &PgPool, key: &str, id: Option<i64>) -> sqlx::Result<bool> {
    let there = sqlx::query_scalar!(
        r#"select exists (select 1 from documents where object_key = $1) or exists (select 1 from documents where id = $2)
               as "there!""#,
        key,
        id
    );
    there.fetch_one(pool).await
}

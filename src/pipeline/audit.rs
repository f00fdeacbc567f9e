//! Looks for rows, jobs and objects that belong to nothing.

use sqlx::PgPool;

use crate::documents;
use crate::storage::Storage;

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: &'static str,
    /// An id or a key.
    pub what: String,
    pub remedy: &'static str,
}

/// All findings; none in a sound system. What comes and goes meanwhile may be named by mistake: look twice.
pub async fn audit(pool: &PgPool, storage: &Storage) -> anyhow::Result<Vec<Finding>> {
    let mut findings = vec![];
    let mut add = |kind, what: String, remedy| findings.push(Finding { kind, what, remedy });
    for id in documents::without_job(pool).await? {
        add("document without job", id.to_string(), "set its status to 'canceled', then to 'pending'");
    }
    for id in documents::jobs_without_document(pool).await? {
        add("job without document", id, "none: it ends by itself when a worker takes it");
    }
    for id in documents::jobs_without_worker(pool).await? {
        add("job without worker", id, "none while a worker is up: it gives the job back within seconds");
    }
    // Objects first: a key that is written between the two is known by then.
    let objects = [storage.list("media/").await?, storage.list("results/").await?].concat();
    let known = documents::known_keys(pool).await?;
    let mut missing = known.files;
    for key in objects {
        let is_result = key.strip_prefix("results/").and_then(|rest| rest.split_once('/'));
        let owner = is_result.and_then(|(id, _)| id.parse::<i64>().ok());
        let of_garbage = || owner.is_some_and(|id| known.passing.contains(&format!("results/{id}/")));
        let is_known = missing.remove(&key)
            || known.passing.contains(&key)
            || owner.is_some_and(|id| known.documents.contains(&id))
            || of_garbage();
        if !is_known {
            add("object without document", key, "insert its key into table garbage; a worker removes it");
        }
    }
    let mut missing: Vec<String> = missing.into_iter().collect();
    missing.sort();
    for key in missing {
        add("document without file", key, "put the file back, or delete the document");
    }
    Ok(findings)
}

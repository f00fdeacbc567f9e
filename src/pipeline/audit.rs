//! Looks for rows and objects that belong to nothing.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;

use futures_util::TryStreamExt;
use sqlx::PgPool;

use crate::documents;
use crate::storage::{ObjectKey, Storage, StorageError};

/// Something that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: &'static str,
    /// An id or a key.
    pub what: String,
    pub remedy: &'static str,
}

/// Objects without documents, and documents without their files. Of a document it keeps two numbers, of an object nothing.
pub async fn audit_objects(pool: &PgPool, storage: &Storage) -> anyhow::Result<Vec<Finding>> {
    let mut findings = vec![];
    let mut add = |kind, what: String, remedy| findings.push(Finding { kind, what, remedy });
    let mut known = Known::read(pool).await?;
    for prefix in ["media/", "results/"] {
        let mut parts = pin!(storage.list_parts(prefix));
        while let Some(keys) = parts.try_next().await? {
            for key in keys {
                let owner = owner(&key);
                // It may have come meanwhile.
                if !known.look_up(&key, owner) && !documents::document_is_there(pool, &key, owner).await? {
                    add("object without document", key, "insert its key into table garbage; a worker removes it");
                }
            }
        }
    }
    if known.found < known.files.len() {
        let mut keys = documents::document_keys(pool);
        while let Some(document) = keys.try_next().await? {
            if document.stored && known.is_missing(&document.object_key) {
                // It may have gone, or be one whose file came after that part of the list was read.
                let missing = match ObjectKey::parse(document.object_key.as_str()) {
                    Ok(key) => matches!(storage.size(&key).await, Err(StorageError::NotFound(_))),
                    Err(_) => true,
                };
                if missing && documents::document_is_there(pool, &document.object_key, None).await? {
                    add("document without file", document.object_key, "put the file back, or delete the document");
                }
            }
        }
    }
    Ok(findings)
}

/// The document that an object below `results/` belongs to.
fn owner(key: &str) -> Option<i64> {
    key.strip_prefix("results/")?.split_once('/')?.0.parse().ok()
}

/// What the database knows of objects.
struct Known {
    /// Hashes of the keys of files that must be there, in order, and which of them were found.
    files: Vec<u64>,
    seen: Vec<bool>,
    found: usize,
    /// Of all documents, in order.
    documents: Vec<i64>,
    /// Of files that are still to be fetched, of uploads under way and of garbage.
    passing: HashSet<String>,
    hasher: RandomState,
}

impl Known {
    async fn read(pool: &PgPool) -> sqlx::Result<Self> {
        let (mut files, mut ids, hasher) = (vec![], vec![], RandomState::new());
        let mut passing = documents::passing_keys(pool).await?;
        let mut keys = documents::document_keys(pool);
        while let Some(document) = keys.try_next().await? {
            ids.push(document.id);
            if document.stored {
                files.push(hasher.hash_one(&document.object_key));
            } else {
                passing.insert(document.object_key);
            }
        }
        files.sort_unstable();
        let seen = vec![false; files.len()];
        Ok(Self { files, seen, found: 0, documents: ids, passing, hasher })
    }

    fn place(&self, key: &str) -> Option<usize> {
        self.files.binary_search(&self.hasher.hash_one(key)).ok()
    }

    /// Whether an object belongs to something.
    fn look_up(&mut self, key: &str, owner: Option<i64>) -> bool {
        if let Some(place) = self.place(key) {
            self.found += usize::from(!std::mem::replace(&mut self.seen[place], true));
            return true;
        }
        self.passing.contains(key)
            || owner.is_some_and(|id| {
                self.documents.binary_search(&id).is_ok() || self.passing.contains(&format!("results/{id}/"))
            })
    }

    fn is_missing(&self, key: &str) -> bool {
        self.place(key).is_some_and(|place| !self.seen[place])
    }
}

//! The domain: what a document, a page and a detection are, and the SQL that keeps them. Knows no HTTP, queue or S3.

mod audit;
mod change;
mod delivery;
mod detection;
mod document;
mod event;
mod file_name;
mod list;
mod model;
mod model_card;
mod page_range;
mod processing;
mod result;
mod search;
mod summary;
mod title;
mod token;
mod transaction;
mod upload;

pub use audit::{DocumentKey, document_is_there, document_keys, passing_keys};
pub use change::take_garbage;
pub use change::{Again, Changed, cancel, delete, forget_garbage, garbage, prioritize, rename, reprocess, retry};
pub use delivery::{Attempted, Delivery, Message, deliveries, message, record_attempt};
pub use detection::{DetectionRow, JobLease, PageFailure, PageOf, PageResult, Saved, save_failed_page, save_page};
pub use document::{NewDocument, NewFile, Options, Status, insert};
pub use event::{CHANNEL, Event, events_after};
pub use file_name::{FileName, FileNameError};
pub use list::{Cursor, Filter, Listed, Part, list_after, listed, search};
pub use model::{ModelFacts, ModelRow, RegisteredModel, model_facts, model_is_known, models};
pub use model_card::{Figure, ModelCard};
pub use page_range::{PageRange, PageRangeError};
pub use processing::{Chunk, Claim, PageCounts, claim, enqueue_chunk, fail, finish, set_digest, set_page_count};
pub use result::{
    FailedPage, FoundRow, PageRow, Run, Shown, earlier_run, failed_pages, found, object_is_shown, pages, pages_of_run,
    shown, shown_run,
};
pub use search::{DocumentRow, by_idempotency_key, get, waiting_reach};
pub use summary::{MOST_REGIONS, Progress, Summary, progress, summaries};
pub use title::{Title, TitleError};
pub use token::{Access, Scope, TokenRow, access, create_token, revoke_token, tokens};
pub use transaction::begin;
pub use upload::{Upload, expire_uploads, forget_upload, object_is_taken, open_upload, reserve_key};

/// Functions, triggers and views over the documents' tables, in the order in which `app migrate` applies them: that of their names.
pub(crate) const SQL_FILES: [(&str, &str); 2] =
    [("events.sql", include_str!("sql/events.sql")), ("results.sql", include_str!("sql/results.sql"))];

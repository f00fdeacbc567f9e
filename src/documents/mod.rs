//! The domain: what a document, a page and a detection are, and the SQL that keeps them. Knows no HTTP, queue or S3.

mod change;
mod detection;
mod document;
mod event;
mod file_name;
mod model;
mod page_range;
mod result;
mod search;
mod title;
mod token;
mod upload;

pub use change::{Changed, cancel, delete, garbage, garbage_removed, reprocess, retry};
pub use detection::{DetectionRow, PageResult, Saved, save_page};
pub use document::{
    Claim, FileFacts, Listed, NewDocument, Options, claim, fail, finish, insert, list, release, set_file_facts,
};
pub use event::{CHANNEL, Event, events_after};
pub use file_name::{FileName, FileNameError};
pub use model::{ModelRow, RegisteredModel, models};
pub use page_range::{PageRange, PageRangeError};
pub use result::{FoundRow, PageRow, classes, found, pages};
pub use search::{DocumentRow, Filter, by_idempotency_key, get, search};
pub use title::{Title, TitleError};
pub use token::{Access, Scope, TokenRow, access, create_token, revoke_token, tokens};
pub use upload::{forget_upload, object_is_taken, reserve_key};

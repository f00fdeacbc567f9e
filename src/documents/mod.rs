//! The domain: what a document, a page and a detection are, and the SQL that keeps them. Knows no HTTP, queue or S3.

mod detection;
mod document;
mod file_name;
mod model;
mod title;
mod upload;

pub use detection::{DetectionRow, PageResult, Saved, save_page};
pub use document::{Claim, Listed, NewDocument, claim, fail, finish, insert, list, release, set_page_count};
pub use file_name::{FileName, FileNameError};
pub use model::RegisteredModel;
pub use title::{Title, TitleError};
pub use upload::{forget_upload, reserve_key};

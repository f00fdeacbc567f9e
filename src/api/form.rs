//! The fields of a multipart form.

use crate::documents::FileNameError;
use crate::storage::{ObjectKey, Uploaded};

/// Fields as they were sent; the last of several counts.
#[derive(Default)]
pub struct Form {
    pub title: TitleField,
    pub file: FileField,
    /// Texts of other names.
    pub others: Vec<(String, String)>,
}

#[derive(Default)]
pub enum TitleField {
    #[default]
    Missing,
    Null,
    /// A list, a dictionary, a boolean or a file.
    NotAString,
    Text(String),
}

#[derive(Default)]
pub enum FileField {
    #[default]
    Missing,
    Null,
    /// Anything but a part with a file name.
    NotAFile,
    Empty,
    BadName(FileNameError),
    /// Its content is in the bucket.
    Stored(ObjectKey, Uploaded),
}

impl Form {
    /// The key of the object that is in the bucket, if there is one.
    pub fn stored(&self) -> Option<&ObjectKey> {
        match &self.file {
            FileField::Stored(key, _) => Some(key),
            _ => None,
        }
    }
}

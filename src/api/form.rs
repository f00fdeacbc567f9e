//! What a multipart form held, and whether it makes a document.

use serde::Serialize;

use crate::documents::{FileNameError, Title};
use crate::storage::{ObjectKey, Uploaded};

/// Fields as they were sent; the last of several counts.
#[derive(Default)]
pub struct Form {
    pub title: Option<String>,
    pub file: Option<FileField>,
}

pub enum FileField {
    /// A field without a file name.
    NotAFile,
    Empty,
    BadName(FileNameError),
    /// Its content is in the bucket.
    Stored(ObjectKey, Uploaded),
}

/// DRF's messages, in the order of its serializer's fields.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct FieldErrors {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<[String; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<[String; 1]>,
}

pub struct Valid {
    pub title: Title,
    pub key: ObjectKey,
    pub upload: Uploaded,
}

impl Form {
    /// The key of the object that is in the bucket, if there is one.
    pub fn stored(&self) -> Option<&ObjectKey> {
        match &self.file {
            Some(FileField::Stored(key, _)) => Some(key),
            _ => None,
        }
    }

    pub fn validate(&self) -> Result<Valid, FieldErrors> {
        let title = match &self.title {
            None => Err("This field is required.".to_owned()),
            Some(text) => Title::parse(text).map_err(|e| e.to_string()),
        };
        let file = match &self.file {
            None => Err("No file was submitted.".to_owned()),
            Some(FileField::NotAFile) => {
                Err("The submitted data was not a file. Check the encoding type on the form.".to_owned())
            }
            Some(FileField::Empty) => Err("The submitted file is empty.".to_owned()),
            Some(FileField::BadName(e)) => Err(e.to_string()),
            Some(FileField::Stored(key, upload)) => Ok((key.clone(), upload.clone())),
        };
        match (title, file) {
            (Ok(title), Ok((key, upload))) => Ok(Valid { title, key, upload }),
            (title, file) => Err(FieldErrors { title: title.err().map(|e| [e]), file: file.err().map(|e| [e]) }),
        }
    }
}

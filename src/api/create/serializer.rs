//! Whether a request's fields make a document, by the rules and in the words of DRF's serializer for the tutorial's model.

use serde::Serialize;

use super::python_json::Value;
use crate::api::form::{FileField, Form, TitleField};
use crate::documents::Title;
use crate::storage::{ObjectKey, Uploaded};

const REQUIRED: &str = "This field is required.";
const NULL: &str = "This field may not be null.";

/// DRF's messages, in the order of its serializer's fields.
#[derive(Debug, Default, Serialize, PartialEq, Eq)]
pub struct FieldErrors {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    title: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    file: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    non_field_errors: Vec<String>,
}

pub struct Valid {
    pub title: Title,
    pub key: ObjectKey,
    pub upload: Uploaded,
}

/// A JSON body; it can hold no file.
pub fn from_json(body: Value) -> Result<Form, FieldErrors> {
    let fields = match body {
        Value::Dict(fields) => fields,
        other => {
            let message = match other {
                Value::Null => "No data provided".to_owned(),
                other => format!("Invalid data. Expected a dictionary, but got {}.", other.type_name()),
            };
            return Err(FieldErrors { non_field_errors: vec![message], ..Default::default() });
        }
    };
    let mut form = Form::default();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("title", Value::Null) => form.title = TitleField::Null,
            ("title", Value::Str(text)) => form.title = TitleField::Text(text),
            ("title", Value::Number(n)) => form.title = TitleField::Text(n.to_string()),
            ("title", _) => form.title = TitleField::NotAString,
            ("file", Value::Null) => form.file = FileField::Null,
            ("file", _) => form.file = FileField::NotAFile,
            _ => {}
        }
    }
    Ok(form)
}

/// An urlencoded body; it can hold no file.
pub fn from_urlencoded(body: &[u8]) -> Form {
    let mut form = Form::default();
    for (name, value) in form_urlencoded::parse(body) {
        match name.as_ref() {
            "title" => form.title = TitleField::Text(value.into_owned()),
            "file" => form.file = FileField::NotAFile,
            _ => {}
        }
    }
    form
}

pub fn validate(form: &Form) -> Result<Valid, FieldErrors> {
    let title = match &form.title {
        TitleField::Missing => Err(vec![REQUIRED.to_owned()]),
        TitleField::Null => Err(vec![NULL.to_owned()]),
        TitleField::NotAString => Err(vec!["Not a valid string.".to_owned()]),
        TitleField::Text(text) => Title::parse(text).map_err(|e| e.iter().map(ToString::to_string).collect()),
    };
    let file = match &form.file {
        FileField::Missing => Err("No file was submitted.".to_owned()),
        FileField::Null => Err(NULL.to_owned()),
        FileField::NotAFile => {
            Err("The submitted data was not a file. Check the encoding type on the form.".to_owned())
        }
        FileField::Empty => Err("The submitted file is empty.".to_owned()),
        FileField::BadName(e) => Err(e.to_string()),
        FileField::Stored(key, upload) => Ok((key.clone(), upload.clone())),
    };
    match (title, file) {
        (Ok(title), Ok((key, upload))) => Ok(Valid { title, key, upload }),
        (title, file) => Err(FieldErrors {
            title: title.err().unwrap_or_default(),
            file: file.err().into_iter().collect(),
            non_field_errors: vec![],
        }),
    }
}

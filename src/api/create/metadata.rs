//! The answer to OPTIONS.

use serde::Serialize;

use crate::documents;

/// What OPTIONS answers.
pub fn metadata() -> impl Serialize {
    #[derive(Serialize)]
    struct Metadata {
        name: &'static str,
        description: &'static str,
        renders: [&'static str; 2],
        parses: [&'static str; 3],
        actions: Actions,
    }
    #[derive(Serialize)]
    struct Actions {
        #[serde(rename = "POST")]
        post: Fields,
    }
    #[derive(Serialize)]
    struct Fields {
        title: FieldInfo,
        file: FieldInfo,
    }
    #[derive(Serialize)]
    struct FieldInfo {
        r#type: &'static str,
        required: bool,
        read_only: bool,
        label: &'static str,
        max_length: usize,
    }
    let field = |r#type, label, max_length| FieldInfo { r#type, required: true, read_only: false, label, max_length };
    Metadata {
        name: "Document List Create Api",
        description: "",
        renders: ["application/json", "text/html"],
        parses: ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
        actions: Actions {
            post: Fields {
                title: field("string", "Title", documents::Title::MAX_CHARS),
                file: field("file upload", "File", documents::FileName::MAX_CHARS),
            },
        },
    }
}

//! How documents are described to people.

use crate::admin::format::grouped;
use crate::documents::{DocumentRow, Status};

pub fn status_label(status: Status) -> &'static str {
    match status {
        Status::Pending => "Waiting",
        Status::Processing => "Processing",
        Status::Done => "Done",
        Status::Failed => "Failed",
        Status::Canceled => "Canceled",
    }
}

/// Why a document has failed, and what to do; empty if it has not.
pub fn error(row: &DocumentRow) -> String {
    let Some(error) = row.error.as_deref() else { return String::new() };
    let full_stop = if error.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{error}{full_stop} {}", next_step(row.error_code.as_deref().unwrap_or_default()))
}

/// By a document's `error_code`.
fn next_step(code: &str) -> &'static str {
    match code {
        "encrypted" => "Remove the password, then upload it again.",
        "empty_file" | "not_a_pdf" | "damaged" | "no_pages" => {
            "Check that the file opens on your computer, then upload it again."
        }
        "too_many_pages" | "document_timeout" => "Reprocess it with fewer pages.",
        "page_range_empty" => "Reprocess it with pages that it has.",
        "page_too_large" => "Reprocess it without this page.",
        "file_too_large" => "Upload a smaller file.",
        "file_missing" => "Upload it again.",
        "url_refused" => "Upload the file itself, or use an address that everybody can reach.",
        "fetch_failed" => "Check that the address answers, then retry.",
        _ => "Retry it; if it fails again, the attempts on its page say what happened.",
    }
}

/// What is to be known of a document although it is done; empty if nothing is.
pub fn warning(row: &DocumentRow) -> String {
    match (row.status, row.pages_failed) {
        (Status::Done, 1) => "1 page failed.".into(),
        (Status::Done, failed) if failed > 1 => format!("{} pages failed.", grouped(failed.into())),
        _ => String::new(),
    }
}

/// `3 of 12 pages`; empty unless the document is being processed and its pages have been counted.
pub fn pages_done(row: &DocumentRow) -> String {
    match (row.status, row.page_count) {
        (Status::Processing, Some(1)) => format!("{} of 1 page", row.pages_done),
        (Status::Processing, Some(count)) => {
            format!("{} of {} pages", grouped(row.pages_done.into()), grouped(count.into()))
        }
        _ => String::new(),
    }
}

/// Why an attempt failed, without the name that the queue gives to the kind of error.
pub fn reason(error: &str) -> &str {
    match error.split_once(": ") {
        Some((kind, reason)) if kind.ends_with("Error") && kind.chars().all(char::is_alphanumeric) => reason,
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        for (error, wanted) in [
            ("AbortError: The PDF has no pages.", "The PDF has no pages."),
            ("The PDF has no pages.", "The PDF has no pages."),
            ("the bucket: no Error: x", "the bucket: no Error: x"),
        ] {
            assert_eq!(reason(error), wanted);
        }
    }
}

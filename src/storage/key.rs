use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::StorageError;

/// The name of an object: 1 to 1024 bytes, no control characters, and no part that is `.` or `..`, which would leave the
/// bucket on servers that keep objects in folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKey(String);

impl ObjectKey {
    pub fn parse(key: impl Into<String>) -> Result<Self, StorageError> {
        let key = key.into();
        let bad_part = |part: &str| matches!(part, "" | "." | "..");
        if key.len() > 1024 || key.chars().any(char::is_control) || key.split('/').any(bad_part) {
            return Err(StorageError::BadKey(key));
        }
        Ok(Self(key))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the results of one page go; the same page, run and model always give the same keys, and other runs others.
pub fn page_prefix(document_id: i64, run: i32, model_slug: &str, page: u32) -> String {
    match run {
        1 => format!("results/{document_id}/{model_slug}/page-{page}"),
        run => format!("results/{document_id}/run-{run}/{model_slug}/page-{page}"),
    }
}

/// The document and the page that a key of results belongs to.
pub fn page_of(key: &str) -> Option<(i64, i32)> {
    let mut parts = key.strip_prefix("results/")?.split('/');
    let document = parts.next()?.parse().ok()?;
    let page = parts.rev().skip(1).find_map(|part| part.strip_prefix("page-")?.parse().ok())?;
    Some((document, page))
}

/// What Django leaves as it is in URLs of files; everything else is percent-encoded.
const SAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'~')
    .remove(b'!')
    .remove(b'*')
    .remove(b'(')
    .remove(b')')
    .remove(b'\'')
    .remove(b'_')
    .remove(b'.')
    .remove(b'-');

pub fn percent_encode(key: &str) -> String {
    utf8_percent_encode(key, SAFE).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_the_bucket() {
        assert!(ObjectKey::parse("media/Ünï_1.pdf").is_ok());
        for bad in ["", "/a", "a//b", "a/../b", "..", "a/.", "a\nb"] {
            assert!(ObjectKey::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(page_of(&format!("{}/crops/0-page-9.png", page_prefix(7, 2, "page-1", 3))), Some((7, 3)));
        assert_eq!(page_of(&format!("{}/page.png", page_prefix(7, 1, "m", 3))), Some((7, 3)));
        for other in
            ["media/1/page-1/a", "results/x/m/page-1/a", "results/1/m/page-x/a", "results/1", "results/1/page-1"]
        {
            assert_eq!(page_of(other), None, "{other}");
        }
        assert_eq!(percent_encode("media/Ü (1).pdf"), "media/%C3%9C%20(1).pdf");
    }
}

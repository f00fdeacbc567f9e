//! Which requests an idempotency key takes for the same.

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::documents::{DocumentRow, Options, Title};

/// Is counted up with each change of [`Request`].
const VERSION: &str = "2";

/// What names the file.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source<'a> {
    Sha256(&'a str),
    Url(&'a str),
    Upload(Uuid),
}

/// What a key stands for, as it is hashed.
/// The title is the one that was asked for: without one, a second upload of a file has another name.
#[derive(Serialize)]
struct Request<'a> {
    title: Option<&'a str>,
    source: Source<'a>,
    pages: Option<String>,
    score_threshold: Option<f32>,
    crop_min_score: Option<f32>,
    priority: i32,
    model: Option<&'a str>,
    callback_url: Option<&'a str>,
}

/// A key, and what it stands for.
#[derive(Debug)]
pub struct Idempotency {
    pub key: String,
    /// `version:SHA-256`.
    fingerprint: String,
    former: Former,
}

impl Idempotency {
    pub fn of(key: String, title: Option<&Title>, options: &Options, source: Source<'_>) -> Self {
        let title = title.map(Title::as_str);
        let request = Request {
            title,
            source,
            pages: options.page_range.as_ref().map(ToString::to_string),
            score_threshold: options.score_threshold,
            crop_min_score: options.crop_min_score,
            priority: options.priority,
            model: options.model.as_deref(),
            callback_url: options.callback_url.as_deref(),
        };
        let json = serde_json::to_vec(&request).expect("texts and numbers are JSON");
        let fingerprint = format!("{VERSION}:{}", hex::encode(Sha256::digest(json)));
        Self { key, fingerprint, former: Former::of(title, options, source) }
    }

    /// The key and the fingerprint, for a document.
    pub fn kept(&self) -> (String, String) {
        (self.key.clone(), self.fingerprint.clone())
    }

    /// Whether a document with this key was made by the same request.
    pub fn is_of(&self, document: &DocumentRow) -> bool {
        let kept = document.request_sha256.as_deref();
        kept.is_some_and(|kept| self.fits(kept, &document.title))
    }

    fn fits(&self, kept: &str, title: &str) -> bool {
        match kept.split_once(':') {
            Some((VERSION, _)) => kept == self.fingerprint,
            // Of a newer server: a retry is far likelier than another request with a key that was used before.
            Some(_) => true,
            None => kept == self.former.fingerprint(title),
        }
    }
}

/// Version 1: a hash of Rust's debug output, without a prefix. Documents made with it keep it.
#[derive(Debug)]
struct Former {
    /// The document's if there is none.
    title: Option<String>,
    rest: String,
}

impl Former {
    fn of(title: Option<&str>, options: &Options, source: Source<'_>) -> Self {
        let (none, source) = match source {
            Source::Sha256(text) | Source::Url(text) => (None, text.to_owned()),
            Source::Upload(id) => (Some(""), id.to_string()),
        };
        let asked = (&options.page_range, options.score_threshold, options.crop_min_score, options.priority);
        let rest = format!("{asked:?} {:?} {:?} {source}", options.model, options.callback_url);
        Self { title: title.or(none).map(str::to_owned), rest }
    }

    fn fingerprint(&self, title: &str) -> String {
        let title = self.title.as_deref().unwrap_or(title);
        hex::encode(Sha256::digest(format!("{title:?} {}", self.rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::PageRange;

    fn asked(title: Option<&str>, source: Source<'_>) -> Idempotency {
        let options = Options {
            page_range: Some(PageRange::parse("1-3,5").unwrap()),
            score_threshold: Some(0.5),
            priority: -7,
            model: Some("m".into()),
            ..Options::default()
        };
        let title = title.map(|title| Title::parse(title).unwrap());
        Idempotency::of("k".into(), title.as_ref(), &options, source)
    }

    /// What documents keep does not change with the program.
    #[test]
    fn fingerprints_stay() {
        let file = asked(Some("Hello"), Source::Sha256("abc"));
        assert_eq!(file.fingerprint, "2:f4d37e5a68f867f0f5d831ac8553c6e3299ed287797507eb143ed5c5146d99eb");
        assert!(file.fits("2:f4d37e5a68f867f0f5d831ac8553c6e3299ed287797507eb143ed5c5146d99eb", "Hello"));
        assert!(file.fits("f66324ab773356c712795d3dd93155888e7ebf4c02d4b7bf3786d6b58514e75f", "Hello"));
        let upload = asked(None, Source::Upload(Uuid::nil()));
        assert!(upload.fits("44a863f262858d1c42911dcd841177978cb51ea148d971b71bf51120fb9fff1a", "a.pdf"));
    }

    #[test]
    fn who_is_the_same() {
        let (hello, untitled) = (asked(Some("Hello"), Source::Sha256("abc")), asked(None, Source::Sha256("abc")));
        let other = asked(Some("Hello"), Source::Url("abc"));
        assert!(!hello.fits(&untitled.fingerprint, "Hello") && !hello.fits(&other.fingerprint, "Hello"));
        // Version 1 hashed the title that the document got.
        assert!(untitled.fits(&hello.former.fingerprint("Hello"), "Hello"));
        assert!(!untitled.fits(&hello.former.fingerprint("Hello"), "a.pdf"));
        assert!(hello.fits("3:whatever", "Hello"));
    }
}

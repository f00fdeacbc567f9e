//! Conditions and ranges of RFC 9110.

use std::ops::Range;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// Not empty, and within the file.
    Part(Range<u64>),
    /// Nothing of the file lies there.
    Outside,
}

impl Wanted {
    pub fn of(request: &HttpRequest, size: u64, etag: Option<&str>) -> Self {
        // For other methods a range means nothing.
        let Some(range) = header(request, &RANGE).filter(|_| request.method() == Method::GET) else {
            return Self::Whole;
        };
        match header(request, &IF_RANGE) {
            Some(version) if Some(version) != etag || version.starts_with("W/") => Self::Whole,
            _ => Self::parse(range, size),
        }
    }

    /// What cannot be read, or asks for several parts, may be ignored.
    fn parse(range: &str, size: u64) -> Self {
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().unwrap_or(u64::MAX));
        let bounds = range.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
        let Some((first, last)) = bounds.and_then(|(_, bounds)| bounds.trim().split_once('-')) else {
            return Self::Whole;
        };
        let (start, end) = match (first, last, number(first), number(last)) {
            ("", "", ..) | (.., None, _) | (.., None) => return Self::Whole,
            ("", _, _, Some(length)) => (size.saturating_sub(length), if length == 0 { 0 } else { size }),
            (_, "", Some(first), _) => (first, size),
            (_, _, Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(size)),
            _ => return Self::Whole,
        };
        if start < end { Self::Part(start..end) } else { Self::Outside }
    }
}

/// Whether the client has this version already.
pub fn is_known(request: &HttpRequest, etag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || strong(tag) == strong(etag))
}

fn header<'a>(request: &'a HttpRequest, name: &HeaderName) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn ranges_are_within_the_file() {
        for (range, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=2-99", Wanted::Part(2..10)),
            ("Bytes = 2-3", Wanted::Part(2..4)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-99", Wanted::Part(0..10)),
            ("bytes=5-99999999999999999999999", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Outside),
            ("bytes=99999999999999999999999-", Wanted::Outside),
            ("bytes=-0", Wanted::Outside),
            ("bytes=3-2", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("pages=1-2", Wanted::Whole),
        ] {
            assert_eq!(Wanted::parse(range, 10), wanted, "{range}");
        }
        assert_eq!(Wanted::parse("bytes=0-", 0), Wanted::Outside);
        assert_eq!(Wanted::parse("bytes=-5", 0), Wanted::Outside);
    }

    #[test]
    fn versions_decide() {
        let request = |name: &'static str, value: &'static str| {
            TestRequest::get().insert_header(("Range", "bytes=1-2")).insert_header((name, value)).to_http_request()
        };
        let wanted = |version| Wanted::of(&request("If-Range", version), 10, Some("\"a\""));
        assert_eq!(wanted("\"a\""), Wanted::Part(1..3));
        assert_eq!(wanted("\"b\""), Wanted::Whole);
        assert_eq!(wanted("W/\"a\""), Wanted::Whole);
        assert_eq!(wanted("Sat, 28 Nov 2026 00:00:00 GMT"), Wanted::Whole);
        for (known, same) in [("\"a\"", true), ("\"b\", W/\"a\"", true), ("*", true), ("\"b\"", false), ("a", false)] {
            assert_eq!(is_known(&request("If-None-Match", known), "\"a\""), same, "{known}");
        }
    }
}

//! How figures and times are written.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// For `<time datetime>`, whose text a script makes local; both are empty if there is none.
#[derive(Debug, Clone, Default)]
pub struct Time {
    pub iso: String,
    pub text: String,
}

impl<T: Into<Option<OffsetDateTime>>> From<T> for Time {
    fn from(time: T) -> Self {
        let Some(time) = time.into() else { return Self::default() };
        let time = time.to_offset(UtcOffset::UTC);
        let text = time.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).unwrap_or_default();
        let iso = time.replace_nanosecond(0).ok().and_then(|t| t.format(&Rfc3339).ok()).unwrap_or_default();
        Self { iso, text }
    }
}

/// `3.2 s`, `12 min`, `1.5 h`, `3 d`
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1000.0),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min", s / 60.0),
        s if s < 86400.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.0} d", s / 86400.0),
    }
}

/// `3 min ago`
pub fn ago(time: OffsetDateTime) -> String {
    match (OffsetDateTime::now_utc() - time).as_seconds_f64() {
        s if s < 60.0 => "just now".into(),
        s => format!("{} ago", duration(s)),
    }
}

/// `1,000`
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    format!("{}{}", if number < 0 { "-" } else { "" }, groups.join(","))
}

/// `1 page`, `1,000 pages`
pub fn count(number: i64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1.2 MB`
pub fn bytes(bytes: i64) -> String {
    match bytes as f64 {
        b if b < 1e3 => format!("{bytes} B"),
        b if b < 1e6 => format!("{:.0} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.1} GB", b / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(
            ["0.25", "5", "120", "5400", "90000"].map(|s| duration(s.parse().unwrap())),
            ["250 ms", "5.0 s", "2 min", "1.5 h", "1 d"]
        );
        assert_eq!([0, 999, 1000, 1_234_567, -1000].map(grouped), ["0", "999", "1,000", "1,234,567", "-1,000"]);
        assert_eq!([0, 1, 2000].map(|n| count(n, "page")), ["0 pages", "1 page", "2,000 pages"]);
        assert_eq!([999, 1500, 2_300_000, 5_000_000_000].map(bytes), ["999 B", "2 kB", "2.3 MB", "5.0 GB"]);
        let Time { iso, text } = OffsetDateTime::UNIX_EPOCH.into();
        assert_eq!((iso.as_str(), text.as_str()), ("1970-01-01T00:00:00Z", "1970-01-01 00:00 UTC"));
        assert_eq!(Time::from(None).iso, "");
    }
}

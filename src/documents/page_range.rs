use std::fmt;

/// Pages of a document, such as `1-3,5`: numbers from 1, ranges inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRange(Vec<(u32, u32)>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no list of pages; it looks like 1-3,5")]
pub struct PageRangeError(String);

impl PageRange {
    const MAX_PARTS: usize = 1000;

    pub fn parse(text: &str) -> Result<Self, PageRangeError> {
        let wrong = || PageRangeError(text.chars().take(100).collect());
        let number = |part: &str| match part.trim() {
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<u32>().ok().filter(|&n| n > 0),
            _ => None,
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some((first, last))
        };
        let parts: Option<Vec<(u32, u32)>> = text.split(',').map(range).collect();
        match parts {
            Some(parts) if parts.len() <= Self::MAX_PARTS => Ok(Self(parts)),
            _ => Err(wrong()),
        }
    }

    pub fn contains(&self, page: u32) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&page))
    }
}

impl fmt::Display for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = PageRange::parse(" 1-3, 5").unwrap();
        assert_eq!((1..=6).filter(|&p| range.contains(p)).collect::<Vec<_>>(), [1, 2, 3, 5]);
        assert_eq!(range.to_string(), "1-3,5");
        for wrong in ["", "0", "3-1", "a", "1,,2", "1-", "-1", "1-2-3", "99999999999", "+1"] {
            assert!(PageRange::parse(wrong).is_err(), "{wrong}");
        }
    }
}

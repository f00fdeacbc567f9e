//! Which pages a document's results are of, by their numbers in the file.

use crate::documents::{DocumentRow, FailedPage, PageRange, PageRow};

/// In order. Pages that are still to be processed count, too, once those of the file have been counted.
pub fn processed(row: &DocumentRow, pages: &[PageRow], failed: &[FailedPage]) -> Vec<i32> {
    match row.pages_in_file.filter(|_| row.shown_run.is_none()) {
        Some(count) => wanted(count, row.page_range.as_deref()),
        // An earlier run may have been of other pages.
        None => {
            let mut numbers: Vec<i32> = pages.iter().map(|p| p.number).chain(failed.iter().map(|f| f.number)).collect();
            numbers.sort_unstable();
            numbers
        }
    }
}

fn wanted(count: i32, range: Option<&str>) -> Vec<i32> {
    let range = range.and_then(|text| PageRange::parse(text).ok());
    let is_wanted = |&number: &i32| range.as_ref().is_none_or(|range| range.contains(number.unsigned_abs()));
    (1..=count).filter(is_wanted).collect()
}

/// `1-3,5`
pub fn ranges(numbers: &[i32]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let text = |run: &[i32]| match run {
        [first, .., last] => format!("{first}-{last}"),
        [one] => one.to_string(),
        [] => String::new(),
    };
    runs.map(text).collect::<Vec<_>>().join(",")
}

/// A page among those that are processed.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    pub number: i32,
    /// From 1.
    pub position: i64,
    pub count: i64,
    pub previous: Option<i32>,
    pub next: Option<i32>,
}

/// Where a page stands, or else the one after it, or the last; the first if none is wanted. `None` if there are no pages.
pub fn place(numbers: &[i32], wanted: Option<i32>) -> Option<Place> {
    let last = numbers.len().checked_sub(1)?;
    let at = wanted.map_or(0, |wanted| numbers.partition_point(|&number| number < wanted).min(last));
    Some(Place {
        number: numbers[at],
        position: at as i64 + 1,
        count: numbers.len() as i64,
        previous: at.checked_sub(1).map(|at| numbers[at]),
        next: numbers.get(at + 1).copied(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(wanted(3, None), [1, 2, 3]);
        assert_eq!(wanted(6, Some("2-3,5,9")), [2, 3, 5]);
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1-3,5,7-8");
        assert_eq!((ranges(&[]), ranges(&[4])), (String::new(), "4".to_owned()));
    }
    #[test]
    fn places() {
        let number = |wanted| place(&[2, 3, 5], wanted).map(|place| place.number);
        assert_eq!([-1, 2, 3, 4, 99].map(|wanted| number(Some(wanted))), [2, 2, 3, 5, 5].map(Some));
        assert_eq!((number(None), place(&[], Some(1))), (Some(2), None));
        let second = Place { number: 3, position: 2, count: 3, previous: Some(2), next: Some(5) };
        assert_eq!(place(&[2, 3, 5], Some(3)), Some(second));
    }
}

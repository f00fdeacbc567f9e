//! Which pages of a document a job is for.

use super::JobError;
use crate::documents::{Chunk, Claim, PageCounts, PageRange};

/// A job's part of a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChunkPlan {
    /// Numbers of its pages, from 1.
    pub pages: Vec<u32>,
    /// What another job is for.
    pub next: Option<Chunk>,
    /// Pages of all chunks together.
    pub wanted: u32,
}

impl ChunkPlan {
    pub fn of(claim: &Claim, counted: PageCounts) -> Result<Self, JobError> {
        let pages = wanted_pages(claim.page_range.as_deref(), counted.pages_in_file)?;
        let (wanted, size) = (pages.len() as u32, counted.chunk_pages.max(1));
        let Some(chunk) = claim.chunk else {
            if wanted <= size {
                return Ok(Self { pages, next: None, wanted });
            }
            let next = Some(Chunk { generation: claim.generation, number: 0 });
            return Ok(Self { pages: vec![], next, wanted });
        };
        let mut chunks = pages.chunks(size as usize).skip(chunk.number as usize);
        let pages = chunks.next().unwrap_or_default().to_vec();
        let next = chunks.next().map(|_| Chunk { number: chunk.number + 1, ..chunk });
        Ok(Self { pages, next, wanted })
    }
}

/// Numbers of the pages that were asked for and that the file has.
fn wanted_pages(range: Option<&str>, pages: u32) -> Result<Vec<u32>, JobError> {
    let wrong = |message: String| JobError::Permanent { code: "page_range_empty", message };
    let range = range.map(PageRange::parse).transpose().map_err(|e| wrong(e.to_string()))?;
    let wanted: Vec<u32> = (1..=pages).filter(|&n| range.as_ref().is_none_or(|r| r.contains(n))).collect();
    match range {
        Some(range) if wanted.is_empty() => {
            Err(wrong(format!("The PDF has {pages} pages, none of which is in the range {range} that was asked for.")))
        }
        _ => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(range: Option<&str>, pages_in_file: u32, number: Option<u32>) -> ChunkPlan {
        let claim = Claim {
            chunk: number.map(|number| Chunk { generation: 3, number }),
            generation: 3,
            run: 1,
            counted: None,
            object_key: String::new(),
            source_url: None,
            sha256: None,
            page_range: range.map(str::to_owned),
            score_threshold: None,
            crop_min_score: None,
            finished_pages: vec![],
            spent: std::time::Duration::ZERO,
        };
        ChunkPlan::of(&claim, PageCounts { pages_in_file, chunk_pages: 4 }).unwrap()
    }

    #[test]
    fn chunks_make_up_the_document() {
        for (range, pages, expected) in [
            (None, 1, vec![1]),
            (None, 4, vec![1, 2, 3, 4]),
            (None, 9, (1..=9).collect()),
            (Some("2-3,7-11"), 10, vec![2, 3, 7, 8, 9, 10]),
        ] {
            let (mut all, mut number) = (vec![], Some(0));
            loop {
                let part = share(range, pages, number);
                assert!(!part.pages.is_empty() && part.pages.len() <= 4 && part.wanted as usize == expected.len());
                all.extend(part.pages);
                let Some(next) = part.next else { break };
                assert_eq!((next.generation, Some(next.number)), (3, number.map(|n| n + 1)));
                number = Some(next.number);
            }
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn the_first_job_takes_all_or_nothing() {
        assert_eq!(share(None, 4, None), ChunkPlan { pages: vec![1, 2, 3, 4], next: None, wanted: 4 });
        let next = Some(Chunk { generation: 3, number: 0 });
        assert_eq!(share(None, 5, None), ChunkPlan { pages: vec![], next, wanted: 5 });
    }

    #[test]
    fn a_chunk_beyond_the_end_has_no_pages() {
        assert_eq!(share(None, 4, Some(1)), ChunkPlan { pages: vec![], next: None, wanted: 4 });
    }
}

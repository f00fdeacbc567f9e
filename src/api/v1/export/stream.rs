use std::mem;

use actix_web::web::{Bytes, Data};
use anyhow::Context;

use super::{Results, Writer};
use crate::api::{ANSWER, State};
use crate::database::in_time;
use crate::documents::{self, FoundRow, PageRow};

/// Detections that are read at once, but for a page that has more.
const BATCH: i64 = 500;
/// Pages of a batch.
const PAGES: usize = 250;

/// A file that is written as far as its client has read it.
pub struct Export {
    state: Data<State>,
    results: Results,
    writer: Box<dyn Writer>,
    /// Pages that are written.
    written: usize,
    stage: Stage,
}

#[derive(PartialEq)]
enum Stage {
    Beginning,
    Pages,
    Over,
}

impl Export {
    pub fn new(state: Data<State>, results: Results, writer: Box<dyn Writer>) -> Self {
        Self { state, results, writer, written: 0, stage: Stage::Beginning }
    }

    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The next part, `None` after the last. A client knows a file that was broken off by the missing end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut out = vec![];
        while out.is_empty() && !self.is_over() {
            let part = self.part(&mut out).await;
            part.inspect_err(|error| {
                tracing::warn!(document = self.results.document.id, "an export ends early: {error:#}")
            })?;
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }

    async fn part(&mut self, out: &mut Vec<u8>) -> anyhow::Result<()> {
        if mem::replace(&mut self.stage, Stage::Pages) == Stage::Beginning {
            self.writer.begin(&self.results, out)?;
        }
        let batch = batch(&self.results.pages[self.written..]);
        let found = self.found(batch).await?;
        let mut rest = found.as_slice();
        for page in batch {
            let (on_page, later) = rest.split_at(rest.partition_point(|d| d.page <= page.number));
            self.writer.page(&self.results, page, on_page, out)?;
            rest = later;
        }
        self.written += batch.len();
        if self.written == self.results.pages.len() {
            self.writer.end(&self.results, out)?;
            self.stage = Stage::Over;
        }
        Ok(())
    }

    /// By page.
    async fn found(&self, pages: &[PageRow]) -> anyhow::Result<Vec<FoundRow>> {
        let ids: Vec<i64> = pages.iter().map(|page| page.id).collect();
        // However many clients are sent exports: few parts are made at once.
        let _turn = self.state.exports.acquire().await?;
        let found = in_time(ANSWER, documents::found(&self.state.pool, &ids)).await.context("the database")?;
        let expected: i64 = pages.iter().map(|page| page.detections).sum();
        anyhow::ensure!(found.len() as i64 == expected, "its results were removed or replaced meanwhile");
        Ok(found)
    }
}

/// The first of these pages, as many as are read at once.
fn batch(pages: &[PageRow]) -> &[PageRow] {
    let mut detections = 0;
    let fits = |page: &&PageRow| {
        detections += page.detections;
        detections <= BATCH
    };
    let count = pages.iter().take(PAGES).take_while(fits).count();
    &pages[..count.max(1).min(pages.len())]
}

//! Two runs of a page side by side: the results that readers see, and those before them.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::document_id;
use super::matching::{Kind, Outline, Pair, pairs};
use super::numbers::{self, Place};
use super::viewer::{Frame, image_url, percent, regions_text};
use crate::admin::assets::filters;
use crate::admin::error::{Error, Result};
use crate::admin::fields::query;
use crate::admin::page::{self, Page};
use crate::admin::visitor::Visitor;
use crate::api::State;
use crate::documents::{self, FoundRow, PageRow};

#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    page: Page,
    document: Document,
    number: i64,
    position: i64,
    page_count: i64,
    prev_url: String,
    next_url: String,
    document_url: String,
    summary: String,
    kinds: Vec<KindCount>,
    runs: [Run; 2],
}

struct Document {
    id: i64,
    title: String,
}

struct KindCount {
    state: &'static str,
    label: &'static str,
    count: usize,
}

/// Texts are empty where there is nothing to say.
struct Run {
    key: &'static str,
    name: &'static str,
    model: String,
    threshold: String,
    regions_text: String,
    has_page: bool,
    image_url: String,
    width: i32,
    height: i32,
    font_size: i32,
    regions: Vec<Region>,
}

struct Region {
    ordinal: i32,
    label: String,
    percent: String,
    frame: Frame,
    state: &'static str,
    detail: String,
    /// The same for both regions of a pair.
    pair: String,
}

/// A page in a run, if it is there, and what was found on it.
type Side = (documents::Run, Option<PageRow>, Vec<FoundRow>);

/// In the order in which they are told: state, label, and how a sentence names them.
const KINDS: [(&str, &str, &str); 5] = [
    ("new", "New", "new"),
    ("gone", "Gone", "gone"),
    ("moved", "Moved", "moved"),
    ("relabeled", "Relabeled", "relabeled"),
    ("same", "Same", "the same"),
];

pub async fn show(request: HttpRequest, _: Visitor, state: web::Data<State>) -> Result {
    let id = document_id(&request)?;
    let row = documents::get(&state.pool, id).await?.ok_or(Error::NoDocument(id))?;
    let earlier = documents::earlier_run(&state.pool, id).await?.ok_or_else(nothing)?;
    let shown = documents::shown_run(&state.pool, id).await?.ok_or_else(nothing)?;
    let pages = documents::pages(&state.pool, id, None).await?;
    let failed = documents::failed_pages(&state.pool, id).await?;
    let all = numbers::processed(&row, &pages, &failed);
    let place = numbers::place(&all, query(&request).text("page").parse().ok()).ok_or_else(nothing)?;
    let Place { number, position, count, previous, next } = place;
    let runs = runs([side(&state, id, earlier, number).await?, side(&state, id, shown, number).await?]);
    let url = |number: Option<i32>| {
        number.map(|number| format!("/admin/documents/{id}/compare/?page={number}")).unwrap_or_default()
    };
    page::show(&ComparePage {
        page: Page::new(&request, "documents", format!("Compare runs of {}", row.title)),
        number: number.into(),
        position,
        page_count: count,
        prev_url: url(previous),
        next_url: url(next),
        document_url: format!("/admin/documents/{id}/?page={number}"),
        summary: summary(&kinds(&runs)),
        kinds: kinds(&runs),
        runs,
        document: Document { id, title: row.title },
    })
}

fn nothing() -> Error {
    Error::BadRequest("There is no earlier run to compare with; reprocess the document to have two.".into())
}

async fn side(state: &State, document: i64, run: documents::Run, number: i32) -> sqlx::Result<Side> {
    let page = documents::pages_of_run(&state.pool, document, &run, Some(number)).await?.pop();
    let found = match &page {
        Some(page) => documents::found(&state.pool, &[page.id]).await?,
        None => vec![],
    };
    Ok((run, page, found))
}

/// The earlier one and the shown one.
fn runs([earlier, shown]: [Side; 2]) -> [Run; 2] {
    let pairs = pairs(&outlines(&earlier.2), &outlines(&shown.2));
    let of_earlier = |i| pairs.iter().find(|pair| pair.earlier == i).map(|pair| (pair, pair.shown));
    let of_shown = |i| pairs.iter().find(|pair| pair.shown == i).map(|pair| (pair, pair.earlier));
    let before = regions(&earlier, &shown.2, "gone", of_earlier);
    let after = regions(&shown, &earlier.2, "new", of_shown);
    [Run::new("earlier", "earlier run", earlier, before), Run::new("shown", "shown run", shown, after)]
}

fn font_size(width: i32) -> i32 {
    (width / 56).max(11)
}

fn outlines(found: &[FoundRow]) -> Vec<Outline<'_>> {
    let outline = |row: &FoundRow| [row.x0_pt, row.y0_pt, row.x1_pt, row.y1_pt];
    found.iter().map(|row| Outline { label: &row.label, bounds: outline(row) }).collect()
}

/// One side's regions; `partner` gives the pair that one is in, and its place among the others.
fn regions<'a>(
    (_, page, own): &Side,
    others: &[FoundRow],
    alone: &'static str,
    partner: impl Fn(usize) -> Option<(&'a Pair, usize)>,
) -> Vec<Region> {
    let width = page.as_ref().map_or(1, |page| page.width_px);
    let region = |(i, row): (usize, &FoundRow)| {
        let (state, detail, pair) = match partner(i) {
            None => (alone, String::new(), format!("{alone}-{}", row.ordinal)),
            Some((pair, other)) => {
                let name = format!("both-{}", pair.earlier);
                match pair.kind {
                    Kind::Same => ("same", String::new(), name),
                    Kind::Moved => ("moved", format!("overlap {}", percent(pair.overlap)), name),
                    Kind::Relabeled => {
                        let tense = if alone == "gone" { "now" } else { "was" };
                        ("relabeled", format!("{tense} {}", others[other].label), name)
                    }
                }
            }
        };
        Region {
            ordinal: row.ordinal,
            label: row.label.clone(),
            percent: percent(row.score),
            frame: Frame::new(row, width, font_size(width)),
            state,
            detail,
            pair,
        }
    };
    own.iter().enumerate().map(region).collect()
}

impl Run {
    fn new(key: &'static str, name: &'static str, (run, page, _): Side, regions: Vec<Region>) -> Self {
        let (width, height) = page.as_ref().map_or((1, 1), |page| (page.width_px, page.height_px));
        Self {
            key,
            name,
            model: run.model,
            threshold: run.score_threshold.map_or("a value not noted".into(), |threshold| threshold.to_string()),
            regions_text: regions_text(regions.len()),
            has_page: page.is_some(),
            image_url: page.as_ref().map(image_url).unwrap_or_default(),
            width,
            height,
            font_size: font_size(width),
            regions,
        }
    }
}

fn kinds([earlier, shown]: &[Run; 2]) -> Vec<KindCount> {
    let of = |run: &Run, state| run.regions.iter().filter(|region| region.state == state).count();
    // Regions of a pair are on both sides.
    let count = |state| if state == "gone" { of(earlier, state) } else { of(shown, state) };
    let all = KINDS.map(|(state, label, _)| KindCount { state, label, count: count(state) });
    all.into_iter().filter(|kind| kind.count > 0).collect()
}

/// `2 new, 1 gone, 3 moved, 9 the same`
fn summary(kinds: &[KindCount]) -> String {
    if kinds.iter().all(|kind| kind.state == "same") {
        return "No differences on this page.".into();
    }
    let word = |state| KINDS.iter().find(|kind| kind.0 == state).map_or("", |kind| kind.2);
    kinds.iter().map(|kind| format!("{} {}", kind.count, word(kind.state))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ordinal: i32, label: &str, x0: f32, x1: f32) -> FoundRow {
        FoundRow {
            page: 1,
            ordinal,
            class_id: 0,
            label: label.into(),
            score: 0.5,
            x0_pt: x0,
            y0_pt: 0.0,
            x1_pt: x1,
            y1_pt: 10.0,
            x0_px: x0,
            y0_px: 0.0,
            x1_px: x1,
            y1_px: 10.0,
            mask_rle: None,
            crop_key: None,
        }
    }

    fn side(found: Vec<FoundRow>) -> Side {
        (documents::Run { run: 1, model_id: 1, model: "m".into(), score_threshold: Some(0.5) }, None, found)
    }

    #[test]
    fn differences_are_told() {
        let before = [("text", 0.0, 10.0), ("text", 100.0, 110.0), ("title", 200.0, 210.0), ("table", 300.0, 310.0)];
        let after = [("text", 0.0, 10.0), ("text", 102.0, 112.0), ("caption", 200.0, 210.0), ("figure", 400.0, 410.0)];
        let all = |all: [(&str, f32, f32); 4]| {
            side(all.into_iter().enumerate().map(|(i, (label, x0, x1))| found(i as i32, label, x0, x1)).collect())
        };
        let runs = runs([all(before), all(after)]);
        let told = |run: &Run| -> Vec<(&str, String)> {
            run.regions.iter().map(|region| (region.state, region.detail.clone())).collect()
        };
        let moved = ("moved", "overlap 67 %".to_owned());
        let same = ("same", String::new());
        assert_eq!(
            told(&runs[0]),
            [same.clone(), moved.clone(), ("relabeled", "now caption".into()), ("gone", String::new())]
        );
        assert_eq!(told(&runs[1]), [same, moved, ("relabeled", "was title".into()), ("new", String::new())]);
        assert_eq!(summary(&kinds(&runs)), "1 new, 1 gone, 1 moved, 1 relabeled, 1 the same");
        assert_eq!(runs[0].regions[1].pair, runs[1].regions[1].pair);
        assert_ne!(runs[0].regions[3].pair, runs[1].regions[3].pair);
        assert_eq!(summary(&[]), "No differences on this page.");
    }
}

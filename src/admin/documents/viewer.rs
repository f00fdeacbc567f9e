//! A page of a document with its regions, and what the strip of pages needs.

use std::collections::{BTreeMap, HashMap};

use super::numbers::{self, Place};
use crate::documents::{DocumentRow, FailedPage, FoundRow, PageRow};
use crate::storage::percent_encode;

/// Labels are off at first where more regions would hide the page.
const DENSE: usize = 24;
const COLORS: i32 = 12;

/// Texts are empty where there is nothing to say.
#[derive(Debug, Default)]
pub struct Viewer {
    pub has_pages: bool,
    pub number: i64,
    /// Among the pages that are processed, from 1.
    pub position: i64,
    pub page_count: i64,
    pub pages: String,
    pub numbers: String,
    pub thumbnails: String,
    pub prev_url: String,
    pub next_url: String,
    pub state: &'static str,
    pub message: String,
    pub image_url: String,
    pub width: i32,
    pub height: i32,
    pub size: String,
    pub font_size: i32,
    pub detections_url: String,
    pub has_masks: bool,
    pub is_dense: bool,
    pub region_count: i64,
    pub regions_text: String,
    pub regions: Vec<Region>,
    pub classes: Vec<Class>,
    pub has_crops: bool,
    pub crop_groups: Vec<CropGroup>,
}

#[derive(Debug)]
pub struct Region {
    pub ordinal: i32,
    pub color: i32,
    pub label: String,
    pub score: String,
    pub percent: String,
    pub frame: Frame,
    pub size: String,
    pub crop_url: String,
}

#[derive(Debug)]
pub struct Class {
    pub label: String,
    pub color: i32,
    pub count: i64,
}

#[derive(Debug)]
pub struct CropGroup {
    pub label: String,
    pub color: i32,
    pub count: i64,
    pub crops: Vec<Crop>,
}

#[derive(Debug)]
pub struct Crop {
    pub ordinal: i32,
    pub url: String,
    pub width: i32,
    pub height: i32,
    pub percent: String,
}

/// Where an object is served.
pub fn object_url(key: &str) -> String {
    format!("/{}", percent_encode(key))
}

/// A region's rectangle and the place of its label, in pixels to a tenth.
#[derive(Debug)]
pub struct Frame {
    pub x: String,
    pub y: String,
    pub w: String,
    pub h: String,
    pub label_x: String,
    pub label_y: String,
    pub label_anchor: &'static str,
}

impl Frame {
    /// Labels stand above their rectangle, but never beyond the page's upper or right edge.
    pub fn new(row: &FoundRow, width: i32, font_size: i32) -> Self {
        let pixels = |length: f32| format!("{length:.1}");
        let is_at_edge = row.x0_px > 0.8 * width as f32;
        Self {
            x: pixels(row.x0_px),
            y: pixels(row.y0_px),
            w: pixels(row.x1_px - row.x0_px),
            h: pixels(row.y1_px - row.y0_px),
            label_x: pixels(if is_at_edge { row.x1_px } else { row.x0_px }),
            label_y: pixels((row.y0_px - 0.3 * font_size as f32).max(font_size as f32)),
            label_anchor: if is_at_edge { "end" } else { "start" },
        }
    }
}

pub fn percent(score: f32) -> String {
    format!("{:.0} %", score * 100.0)
}

/// The picture of a page; an old one has none but that with its regions drawn.
pub fn image_url(page: &PageRow) -> String {
    object_url(page.image_key.as_ref().unwrap_or(&page.overlay_key))
}

impl Viewer {
    /// The strip and the state of one page; [`Viewer::with_regions`] adds what was found on it.
    pub fn new(row: &DocumentRow, pages: &[PageRow], failed: &[FailedPage], wanted: Option<i32>) -> Self {
        let all = numbers::processed(row, pages, failed);
        let Some(Place { number, position, count, previous, next }) = numbers::place(&all, wanted) else {
            return Self::default();
        };
        let url = |number: Option<i32>| {
            number.map(|number| format!("/admin/documents/{}/?page={number}", row.id)).unwrap_or_default()
        };
        let (state, message) = state_of(row, number, pages, failed);
        Self {
            has_pages: true,
            number: number.into(),
            position,
            page_count: count,
            pages: marks(&all, pages, failed),
            numbers: numbers::ranges(&all),
            thumbnails: thumbnails(pages),
            prev_url: url(previous),
            next_url: url(next),
            state,
            message,
            ..Self::default()
        }
    }

    pub fn with_regions(self, document: i64, page: &PageRow, mut found: Vec<FoundRow>) -> Self {
        found.sort_by(|a, b| a.y0_px.total_cmp(&b.y0_px).then(a.x0_px.total_cmp(&b.x0_px)));
        let (crop_groups, font_size) = (crop_groups(&found), (page.width_px / 64).max(11));
        Self {
            image_url: image_url(page),
            width: page.width_px,
            height: page.height_px,
            size: format!("{:.0} × {:.0} pt", page.width_pt, page.height_pt),
            font_size,
            detections_url: format!("/api/v1/documents/{document}/pages/{}/detections", page.number),
            has_masks: found.iter().any(|region| region.mask_rle.is_some()),
            is_dense: found.len() > DENSE,
            region_count: found.len() as i64,
            regions_text: regions_text(found.len()),
            classes: classes(&found),
            has_crops: !crop_groups.is_empty(),
            crop_groups,
            regions: found.into_iter().map(|row| Region::new(row, page.width_px, font_size)).collect(),
            ..self
        }
    }
}

pub fn regions_text(count: usize) -> String {
    match count {
        0 => "No regions".into(),
        1 => "1 region".into(),
        more => format!("{more} regions"),
    }
}

/// The addresses of all thumbnails, with `{n}` for the page's number; their keys differ in nothing else.
fn thumbnails(pages: &[PageRow]) -> String {
    let url = |page: &PageRow| {
        let url = object_url(page.thumbnail_key.as_ref()?);
        Some(url.replace(&format!("/page-{}/", page.number), "/page-{n}/"))
    };
    pages.iter().find_map(url).unwrap_or_default()
}

/// Of each page the number of its regions, `f` if it failed, nothing if it is not done.
fn marks(all: &[i32], pages: &[PageRow], failed: &[FailedPage]) -> String {
    let done = pages.iter().map(|page| (page.number, page.detections.to_string()));
    let marks: HashMap<i32, String> = done.chain(failed.iter().map(|page| (page.number, "f".to_owned()))).collect();
    all.iter().map(|number| marks.get(number).map_or("", String::as_str)).collect::<Vec<_>>().join(",")
}

fn state_of(row: &DocumentRow, number: i32, pages: &[PageRow], failed: &[FailedPage]) -> (&'static str, String) {
    if pages.iter().any(|page| page.number == number) {
        return ("done", String::new());
    }
    if let Some(failure) = failed.iter().find(|page| page.number == number) {
        return ("failed", format!("{} Retry the document to try its failed pages again.", failure.message));
    }
    let message = match row.status.is_final() {
        true => "The document ended before this page. Retry it to go on from here.",
        false => "This page waits for a worker; it comes by itself.",
    };
    ("waiting", message.into())
}

fn color(class_id: i32) -> i32 {
    class_id.rem_euclid(COLORS)
}

fn classes(found: &[FoundRow]) -> Vec<Class> {
    let mut classes: BTreeMap<i32, Class> = BTreeMap::new();
    for region in found {
        let new = || Class { label: region.label.clone(), color: color(region.class_id), count: 0 };
        classes.entry(region.class_id).or_insert_with(new).count += 1;
    }
    classes.into_values().collect()
}

fn crop_groups(found: &[FoundRow]) -> Vec<CropGroup> {
    let mut groups: BTreeMap<i32, CropGroup> = BTreeMap::new();
    for region in found {
        let Some(key) = &region.crop_key else { continue };
        let new = || CropGroup { label: region.label.clone(), color: color(region.class_id), count: 0, crops: vec![] };
        let group = groups.entry(region.class_id).or_insert_with(new);
        group.count += 1;
        group.crops.push(Crop {
            ordinal: region.ordinal,
            url: object_url(key),
            width: ((region.x1_px - region.x0_px).round() as i32).max(1),
            height: ((region.y1_px - region.y0_px).round() as i32).max(1),
            percent: percent(region.score),
        });
    }
    groups.into_values().collect()
}

impl Region {
    fn new(row: FoundRow, width: i32, font_size: i32) -> Self {
        Self {
            ordinal: row.ordinal,
            color: color(row.class_id),
            score: format!("{:.4}", row.score),
            percent: percent(row.score),
            frame: Frame::new(&row, width, font_size),
            size: format!("{:.0} × {:.0} pt", row.x1_pt - row.x0_pt, row.y1_pt - row.y0_pt),
            crop_url: row.crop_key.as_deref().map(object_url).unwrap_or_default(),
            label: row.label,
        }
    }
}

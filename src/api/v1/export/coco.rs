use std::io::Write;

use serde::Serialize;

use super::{Results, Writer};
use crate::documents::{FoundRow, PageRow};
use crate::rcnn::Rle;

/// COCO's object detection format; an image is a page, with its number as id, and categories count from 1.
#[derive(Default)]
pub struct Coco {
    annotations: usize,
}

impl Writer for Coco {
    fn begin(&mut self, results: &Results, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let info = Info { description: &results.document.title, complete: results.complete };
        let images: Vec<Image> = results.pages.iter().map(Image::new).collect();
        let (info, images) = (serde_json::to_string(&info)?, serde_json::to_string(&images)?);
        Ok(write!(out, "{{\"info\":{info},\"images\":{images},\"annotations\":[")?)
    }

    fn page(&mut self, _: &Results, _: &PageRow, found: &[FoundRow], out: &mut Vec<u8>) -> anyhow::Result<()> {
        for detection in found {
            if self.annotations > 0 {
                out.push(b',');
            }
            self.annotations += 1;
            serde_json::to_writer(&mut *out, &Annotation::new(self.annotations, detection))?;
        }
        Ok(())
    }

    fn end(&mut self, results: &Results, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let names = results.classes.iter().enumerate();
        let categories: Vec<Category> = names.map(|(i, name)| Category { id: i + 1, name }).collect();
        Ok(write!(out, "],\"categories\":{}}}", serde_json::to_string(&categories)?)?)
    }
}

#[derive(Serialize)]
struct Info<'a> {
    description: &'a str,
    /// Whether all pages are there.
    complete: bool,
}

#[derive(Serialize)]
struct Image {
    id: i32,
    file_name: String,
    width: i32,
    height: i32,
}

#[derive(Serialize)]
struct Annotation {
    id: usize,
    image_id: i32,
    category_id: i32,
    /// x, y, width, height.
    bbox: [f32; 4],
    area: f64,
    segmentation: Segmentation,
    iscrowd: u8,
    score: f32,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Segmentation {
    Mask(Rle),
    /// Of a model without masks, the box.
    Polygon([[f32; 8]; 1]),
}

#[derive(Serialize)]
struct Category<'a> {
    id: usize,
    name: &'a str,
}

impl Image {
    fn new(p: &PageRow) -> Self {
        Self { id: p.number, file_name: format!("page-{}.png", p.number), width: p.width_px, height: p.height_px }
    }
}

impl Annotation {
    fn new(id: usize, d: &FoundRow) -> Self {
        let (x0, y0, x1, y1) = (d.x0_px, d.y0_px, d.x1_px, d.y1_px);
        let mask: Option<Rle> = d.mask_rle.clone().and_then(|m| serde_json::from_value(m).ok());
        Self {
            id,
            image_id: d.page,
            category_id: d.class_id + 1,
            bbox: [x0, y0, x1 - x0, y1 - y0],
            area: mask.as_ref().map_or(f64::from((x1 - x0) * (y1 - y0)), |m| m.area() as f64),
            segmentation: mask.map_or(Segmentation::Polygon([[x0, y0, x1, y0, x1, y1, x0, y1]]), Segmentation::Mask),
            iscrowd: 0,
            score: d.score,
        }
    }
}

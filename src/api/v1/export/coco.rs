use serde::Serialize;

use crate::documents::{FoundRow, PageRow};
use crate::rcnn::Rle;

/// COCO's object detection format; an image is a page, with its number as id, and categories count from 1.
#[derive(Serialize)]
pub struct Coco<'a> {
    info: Info<'a>,
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category<'a>>,
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

pub fn coco<'a>(
    title: &'a str,
    complete: bool,
    classes: &'a [String],
    pages: &[PageRow],
    found: &[FoundRow],
) -> Coco<'a> {
    let image = |p: &PageRow| Image {
        id: p.number,
        file_name: format!("page-{}.png", p.number),
        width: p.width_px,
        height: p.height_px,
    };
    Coco {
        info: Info { description: title, complete },
        images: pages.iter().map(image).collect(),
        annotations: found.iter().enumerate().map(|(i, d)| annotation(i + 1, d)).collect(),
        categories: classes.iter().enumerate().map(|(i, name)| Category { id: i + 1, name }).collect(),
    }
}

fn annotation(id: usize, d: &FoundRow) -> Annotation {
    let (x0, y0, x1, y1) = (d.x0_px, d.y0_px, d.x1_px, d.y1_px);
    let mask: Option<Rle> = d.mask_rle.clone().and_then(|m| serde_json::from_value(m).ok());
    Annotation {
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

use serde::Serialize;

use super::{Results, Writer};
use crate::documents::{FoundRow, PageRow};

/// labelme's annotation file of one image, `page-N.png` beside it.
pub struct Labelme;

impl Writer for Labelme {
    fn page(&mut self, _: &Results, page: &PageRow, found: &[FoundRow], out: &mut Vec<u8>) -> anyhow::Result<()> {
        Ok(serde_json::to_writer(out, &File::new(page, found))?)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    version: &'static str,
    flags: Nothing,
    shapes: Vec<Shape<'a>>,
    image_path: String,
    image_data: Option<()>,
    image_height: i32,
    image_width: i32,
}

#[derive(Serialize)]
struct Shape<'a> {
    label: &'a str,
    points: [[f32; 2]; 2],
    group_id: Option<()>,
    description: String,
    shape_type: &'static str,
    flags: Nothing,
}

/// `{}`
#[derive(Serialize)]
struct Nothing {}

impl<'a> File<'a> {
    fn new(page: &PageRow, found: &'a [FoundRow]) -> Self {
        let shape = |d: &'a FoundRow| Shape {
            label: &d.label,
            points: [[d.x0_px, d.y0_px], [d.x1_px, d.y1_px]],
            group_id: None,
            description: format!("score {:.3}", d.score),
            shape_type: "rectangle",
            flags: Nothing {},
        };
        Self {
            version: "5.5.0",
            flags: Nothing {},
            shapes: found.iter().map(shape).collect(),
            image_path: format!("page-{}.png", page.number),
            image_data: None,
            image_height: page.height_px,
            image_width: page.width_px,
        }
    }
}

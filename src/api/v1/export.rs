//! `GET /api/v1/documents/{id}/export?format=coco|csv|jsonl|labelme|hocr`

use actix_web::{HttpRequest, HttpResponse, web};
use html_escape::encode_text;
use serde::Serialize;

use super::params::{Query, path};
use super::problem::{Code, Problem, Result};
use super::results::existing;
use crate::api::State;
use crate::documents::{self, FoundRow, PageRow};
use crate::rcnn::Rle;

pub async fn export(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let id: i64 = path(&request, "id")?;
    let mut query = Query::of(&request);
    let format = query.take("format").unwrap_or_else(|| "coco".to_owned());
    let number: Option<i32> = query.number("page", 1, i32::MAX)?;
    query.done()?;
    let document = existing(&state, id).await?;
    let pages = documents::pages(&state.pool, id, number).await?;
    let found = documents::found(&state.pool, id, number).await?;
    let (content_type, extension, text) = match format.as_str() {
        "coco" => {
            let classes = documents::classes(&state.pool, id).await?;
            ("application/json", "coco.json", serde_json::to_string(&coco(&document.title, &classes, &pages, &found)))
        }
        "csv" => ("text/csv; charset=utf-8", "csv", Ok(csv(&found))),
        "jsonl" => ("application/jsonl", "jsonl", jsonl(id, &found)),
        "hocr" => ("text/html; charset=utf-8", "hocr.html", Ok(hocr(&document.title, &pages, &found))),
        "labelme" => match (number, pages.first()) {
            (Some(_), Some(page)) => {
                ("application/json", "labelme.json", serde_json::to_string(&labelme(page, &found)))
            }
            (Some(n), None) => {
                return Err(Problem::new(Code::NotFound, format!("Document {id} has no finished page {n}.")));
            }
            (None, _) => return Err(Problem::parameter("page", "labelme's format holds one page; say which")),
        },
        _ => return Err(Problem::parameter("format", "must be coco, csv, jsonl, labelme or hocr")),
    };
    let text = text.map_err(|e| Problem::new(Code::Internal, e.to_string()))?;
    let disposition = format!("attachment; filename=\"document-{id}.{extension}\"");
    Ok(HttpResponse::Ok().content_type(content_type).insert_header(("Content-Disposition", disposition)).body(text))
}

/// COCO's object detection format; an image is a page, with its number as id, and categories count from 1.
#[derive(Serialize)]
struct Coco<'a> {
    info: Info<'a>,
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category<'a>>,
}

#[derive(Serialize)]
struct Info<'a> {
    description: &'a str,
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

fn coco<'a>(title: &'a str, classes: &'a [String], pages: &[PageRow], found: &[FoundRow]) -> Coco<'a> {
    let image = |p: &PageRow| Image {
        id: p.number,
        file_name: format!("page-{}.png", p.number),
        width: p.width_px,
        height: p.height_px,
    };
    Coco {
        info: Info { description: title },
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

fn csv(found: &[FoundRow]) -> String {
    let mut text = "page,ordinal,label,score,x0_pt,y0_pt,x1_pt,y1_pt,x0_px,y0_px,x1_px,y1_px\r\n".to_owned();
    for d in found {
        // Labels come from a user's file.
        let label = format!("\"{}\"", d.label.replace('"', "\"\""));
        let numbers = [d.score, d.x0_pt, d.y0_pt, d.x1_pt, d.y1_pt, d.x0_px, d.y0_px, d.x1_px, d.y1_px];
        let numbers = numbers.map(|n| n.to_string()).join(",");
        text += &format!("{},{},{label},{numbers}\r\n", d.page, d.ordinal);
    }
    text
}

#[derive(Serialize)]
struct Line<'a> {
    document: i64,
    page: i32,
    ordinal: i32,
    class_id: i32,
    label: &'a str,
    score: f32,
    box_pt: [f32; 4],
    box_px: [f32; 4],
    mask_rle: &'a Option<serde_json::Value>,
}

fn jsonl(document: i64, found: &[FoundRow]) -> serde_json::Result<String> {
    let mut text = String::new();
    for d in found {
        let line = Line {
            document,
            page: d.page,
            ordinal: d.ordinal,
            class_id: d.class_id,
            label: &d.label,
            score: d.score,
            box_pt: [d.x0_pt, d.y0_pt, d.x1_pt, d.y1_pt],
            box_px: [d.x0_px, d.y0_px, d.x1_px, d.y1_px],
            mask_rle: &d.mask_rle,
        };
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

/// labelme's annotation file of one image, `page-N.png` beside it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Labelme<'a> {
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

fn labelme<'a>(page: &PageRow, found: &'a [FoundRow]) -> Labelme<'a> {
    let shape = |d: &'a FoundRow| Shape {
        label: &d.label,
        points: [[d.x0_px, d.y0_px], [d.x1_px, d.y1_px]],
        group_id: None,
        description: format!("score {:.3}", d.score),
        shape_type: "rectangle",
        flags: Nothing {},
    };
    Labelme {
        version: "5.5.0",
        flags: Nothing {},
        shapes: found.iter().map(shape).collect(),
        image_path: format!("page-{}.png", page.number),
        image_data: None,
        image_height: page.height_px,
        image_width: page.width_px,
    }
}

/// hOCR 1.2 without words: pages and their regions, in pixels. Tables and figures have classes of their own.
fn hocr(title: &str, pages: &[PageRow], found: &[FoundRow]) -> String {
    let mut body = String::new();
    for p in pages {
        let (n, w, h) = (p.number, p.width_px, p.height_px);
        body += &format!(
            "<div class=\"ocr_page\" id=\"page_{n}\" title=\"image &quot;page-{n}.png&quot;; bbox 0 0 {w} {h}; ppageno {}\">\n",
            n - 1
        );
        for d in found.iter().filter(|d| d.page == n) {
            let class = match d.label.as_str() {
                "table" => "ocr_table",
                "figure" => "ocr_photo",
                "title" => "ocr_title",
                _ => "ocr_carea",
            };
            let [x0, y0, x1, y1] = [d.x0_px, d.y0_px, d.x1_px, d.y1_px].map(|v| v.round() as i32);
            let label = encode_text(&d.label);
            let confidence = d.score * 100.0;
            body += &format!(
                "<div class=\"{class}\" id=\"region_{n}_{}\" title=\"bbox {x0} {y0} {x1} {y1}; x_wconf {confidence:.0}\">{label}</div>\n",
                d.ordinal
            );
        }
        body += "</div>\n";
    }
    let title = encode_text(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"ocr-system\" content=\"docreader\">\
         <meta name=\"ocr-capabilities\" content=\"ocr_page ocr_carea ocr_table ocr_photo ocr_title\">\
         </head><body>\n{body}</body></html>\n"
    )
}

//! One detection a line.

use serde::Serialize;

use crate::documents::FoundRow;

pub fn csv(found: &[FoundRow]) -> String {
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

pub fn jsonl(document: i64, found: &[FoundRow]) -> serde_json::Result<String> {
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

//! One detection a line.

use std::io::Write;

use serde::Serialize;

use super::{Results, Writer};
use crate::documents::{FoundRow, PageRow};

pub struct Csv;

impl Writer for Csv {
    fn begin(&mut self, _: &Results, out: &mut Vec<u8>) -> anyhow::Result<()> {
        Ok(write!(out, "page,ordinal,label,score,x0_pt,y0_pt,x1_pt,y1_pt,x0_px,y0_px,x1_px,y1_px\r\n")?)
    }

    fn page(&mut self, _: &Results, _: &PageRow, found: &[FoundRow], out: &mut Vec<u8>) -> anyhow::Result<()> {
        for d in found {
            // Labels come from a user's file.
            let label = d.label.replace('"', "\"\"");
            write!(out, "{},{},\"{label}\"", d.page, d.ordinal)?;
            for n in [d.score, d.x0_pt, d.y0_pt, d.x1_pt, d.y1_pt, d.x0_px, d.y0_px, d.x1_px, d.y1_px] {
                write!(out, ",{n}")?;
            }
            write!(out, "\r\n")?;
        }
        Ok(())
    }
}

pub struct JsonLines;

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

impl Writer for JsonLines {
    fn page(&mut self, results: &Results, _: &PageRow, found: &[FoundRow], out: &mut Vec<u8>) -> anyhow::Result<()> {
        for d in found {
            let line = Line {
                document: results.document.id,
                page: d.page,
                ordinal: d.ordinal,
                class_id: d.class_id,
                label: &d.label,
                score: d.score,
                box_pt: [d.x0_pt, d.y0_pt, d.x1_pt, d.y1_pt],
                box_px: [d.x0_px, d.y0_px, d.x1_px, d.y1_px],
                mask_rle: &d.mask_rle,
            };
            serde_json::to_writer(&mut *out, &line)?;
            out.push(b'\n');
        }
        Ok(())
    }
}

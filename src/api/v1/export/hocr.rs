use std::io::Write;

use html_escape::encode_text;

use super::{Results, Writer};
use crate::documents::{FoundRow, PageRow};

/// Shows regions where they are, over the page if `page-N.png` is beside the file.
const STYLE: &str = "\
body { margin: 1em; background: #eee } \
.ocr_page { position: relative; margin: 0 auto 1em; background: #fff 0 0 / 100% 100% no-repeat; box-shadow: 0 1px 4px #0006 } \
.ocr_page > * { position: absolute; box-sizing: border-box; border: 2px solid; font: 12px sans-serif; color: #1b6ec2 } \
.ocr_page > .ocr_table { color: #b3261e } .ocr_page > .ocr_photo { color: #18794e } .ocr_page > .ocr_title { color: #8250df }";

/// hOCR 1.2 without words: pages and their regions, in pixels. Tables and figures have classes of their own.
pub struct Hocr;

impl Writer for Hocr {
    fn begin(&mut self, results: &Results, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let title = encode_text(&results.document.title);
        Ok(write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
             <meta name=\"ocr-system\" content=\"docreader\">\
             <meta name=\"ocr-capabilities\" content=\"ocr_page ocr_carea ocr_table ocr_photo ocr_title\">\
             </head><body>\n"
        )?)
    }

    fn page(&mut self, _: &Results, page: &PageRow, found: &[FoundRow], out: &mut Vec<u8>) -> anyhow::Result<()> {
        let (n, w, h) = (page.number, page.width_px, page.height_px);
        writeln!(
            out,
            "<div class=\"ocr_page\" id=\"page_{n}\" title=\"image &quot;page-{n}.png&quot;; bbox 0 0 {w} {h}; ppageno {}\" \
             style=\"width: {w}px; height: {h}px; background-image: url(page-{n}.png)\">",
            n - 1
        )?;
        for d in found {
            let class = match d.label.as_str() {
                "table" => "ocr_table",
                "figure" => "ocr_photo",
                "title" => "ocr_title",
                _ => "ocr_carea",
            };
            let [x0, y0, x1, y1] = [d.x0_px, d.y0_px, d.x1_px, d.y1_px].map(|v| v.round() as i32);
            let label = encode_text(&d.label);
            let confidence = d.score * 100.0;
            writeln!(
                out,
                "<div class=\"{class}\" id=\"region_{n}_{}\" title=\"bbox {x0} {y0} {x1} {y1}; x_wconf {confidence:.0}\" \
                 style=\"left: {x0}px; top: {y0}px; width: {}px; height: {}px\">{label}</div>",
                d.ordinal,
                x1 - x0,
                y1 - y0
            )?;
        }
        Ok(out.write_all(b"</div>\n")?)
    }

    fn end(&mut self, _: &Results, out: &mut Vec<u8>) -> anyhow::Result<()> {
        Ok(out.write_all(b"</body></html>\n")?)
    }
}

use html_escape::encode_text;

use crate::documents::{FoundRow, PageRow};

/// hOCR 1.2 without words: pages and their regions, in pixels. Tables and figures have classes of their own.
pub fn hocr(title: &str, pages: &[PageRow], found: &[FoundRow]) -> String {
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

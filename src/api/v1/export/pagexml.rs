use std::io::Write;

use html_escape::encode_double_quoted_attribute;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::{Results, Writer};
use crate::documents::{FoundRow, PageRow};

const NAMESPACE: &str = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15";

/// PAGE-XML of one page, `page-N.png` beside it; labels that PAGE does not know are kept in `custom`.
pub struct PageXml;

impl Writer for PageXml {
    fn page(&mut self, results: &Results, page: &PageRow, found: &[FoundRow], out: &mut Vec<u8>) -> anyhow::Result<()> {
        let document = &results.document;
        let time = document.finished_at.or(document.started_at).unwrap_or_else(OffsetDateTime::now_utc);
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let time = time.to_offset(UtcOffset::UTC).format(&format)?;
        let (version, n) = (env!("CARGO_PKG_VERSION"), page.number);
        writeln!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <PcGts xmlns=\"{NAMESPACE}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xsi:schemaLocation=\"{NAMESPACE} {NAMESPACE}/pagecontent.xsd\">\n\
             <Metadata><Creator>docreader {version}</Creator><Created>{time}</Created><LastChange>{time}</LastChange></Metadata>\n\
             <Page imageFilename=\"page-{n}.png\" imageWidth=\"{}\" imageHeight=\"{}\">",
            page.width_px, page.height_px
        )?;
        for d in found {
            let (element, kind) = region(&d.label);
            let kind = kind.map(|kind| format!(" type=\"{kind}\"")).unwrap_or_default();
            let label = encode_double_quoted_attribute(&d.label);
            // Corners are points of the picture.
            let clamp = |v: f32, size: i32| (v.round() as i32).clamp(0, size - 1);
            let [x0, x1] = [d.x0_px, d.x1_px].map(|x| clamp(x, page.width_px));
            let [y0, y1] = [d.y0_px, d.y1_px].map(|y| clamp(y, page.height_px));
            writeln!(
                out,
                "<{element} id=\"r{n}_{}\" custom=\"label:{label}\"{kind}>\
                 <Coords points=\"{x0},{y0} {x1},{y0} {x1},{y1} {x0},{y1}\" conf=\"{:.4}\"/></{element}>",
                d.ordinal, d.score
            )?;
        }
        Ok(out.write_all(b"</Page>\n</PcGts>\n")?)
    }
}

/// The element of a label, and its type.
fn region(label: &str) -> (&'static str, Option<&'static str>) {
    match label.to_lowercase().replace(['_', ' '], "-").as_str() {
        "text" | "paragraph" | "list" | "list-item" => ("TextRegion", Some("paragraph")),
        "title" | "heading" | "section-header" => ("TextRegion", Some("heading")),
        "caption" => ("TextRegion", Some("caption")),
        "header" | "page-header" => ("TextRegion", Some("header")),
        "footer" | "page-footer" => ("TextRegion", Some("footer")),
        "footnote" => ("TextRegion", Some("footnote")),
        "table" => ("TableRegion", None),
        "figure" | "picture" | "image" => ("ImageRegion", None),
        "formula" | "equation" => ("MathsRegion", None),
        _ => ("UnknownRegion", None),
    }
}

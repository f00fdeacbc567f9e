//! `GET /api/v1/documents/{id}/export`: results as other tools read them, written while they are sent.

mod coco;
mod hocr;
mod labelme;
mod pagexml;
mod stream;
mod table;
mod zipped;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream::{StreamExt, once, try_unfold};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::stream::Export;
use self::zipped::Zipped;
use super::params::{Query, path};
use super::problem::{Code, Problem, Result};
use super::results::find_document;
use crate::api::{ANSWER, State};
use crate::database::in_time;
use crate::documents::{self, DocumentRow, FoundRow, PageRow};

#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Coco,
    Csv,
    Jsonl,
    Hocr,
    Labelme,
    Pagexml,
}

impl Format {
    pub const ALL: [Self; 6] = [Self::Coco, Self::Csv, Self::Jsonl, Self::Hocr, Self::Labelme, Self::Pagexml];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    pub fn name(self) -> &'static str {
        self.describe().0
    }

    /// As its authors write it.
    pub fn label(self) -> &'static str {
        self.describe().1
    }

    /// What one gets, for people.
    pub fn what(self) -> &'static str {
        self.describe().2
    }

    fn describe(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Coco => ("coco", "COCO", "JSON with boxes and masks"),
            Self::Csv => ("csv", "CSV", "a line for each region"),
            Self::Jsonl => ("jsonl", "JSON Lines", "an object for each region"),
            Self::Hocr => ("hocr", "hOCR", "HTML with boxes"),
            Self::Labelme => ("labelme", "labelme", "a file for each page, zipped"),
            Self::Pagexml => ("pagexml", "PAGE-XML", "a file for each page, zipped"),
        }
    }
}

/// What is exported.
struct Results {
    document: DocumentRow,
    /// All its pages are there.
    complete: bool,
    classes: Vec<String>,
    pages: Vec<PageRow>,
}

/// Writes a file of one format, piece by piece.
trait Writer {
    fn begin(&mut self, _: &Results, _: &mut Vec<u8>) -> anyhow::Result<()> {
        Ok(())
    }

    fn page(&mut self, results: &Results, page: &PageRow, found: &[FoundRow], out: &mut Vec<u8>) -> anyhow::Result<()>;

    fn end(&mut self, _: &Results, _: &mut Vec<u8>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// How a file is made, and what it is called.
struct Kind {
    content_type: &'static str,
    extension: &'static str,
    writer: Box<dyn Writer>,
}

impl Kind {
    fn new(content_type: &'static str, extension: &'static str, writer: impl Writer + 'static) -> Self {
        Self { content_type, extension, writer: Box::new(writer) }
    }

    /// Formats that know one page a file come in a ZIP, if it is not for one page.
    fn of(format: Format, one_page: bool) -> Self {
        match (format, one_page) {
            (Format::Coco, _) => Self::new("application/json", "coco.json", coco::Coco::default()),
            (Format::Csv, _) => Self::new("text/csv; charset=utf-8", "csv", table::Csv),
            (Format::Jsonl, _) => Self::new("application/jsonl", "jsonl", table::JsonLines),
            (Format::Hocr, _) => Self::new("text/html; charset=utf-8", "hocr.html", hocr::Hocr),
            (Format::Labelme, true) => Self::new("application/json", "labelme.json", labelme::Labelme),
            (Format::Pagexml, true) => Self::new("application/xml", "page.xml", pagexml::PageXml),
            (Format::Labelme, false) => {
                Self::new("application/zip", "labelme.zip", Zipped::new(labelme::Labelme, "json"))
            }
            (Format::Pagexml, false) => Self::new("application/zip", "page.zip", Zipped::new(pagexml::PageXml, "xml")),
        }
    }
}

/// Results in other tools' formats
///
/// COCO (detection), CSV, JSON lines, hOCR, labelme and PAGE-XML. The last two know one page a file: without `page` they come in a ZIP. Names of
/// images are `page-N.png`; `GET …/pages/N/image` has them. While pages are missing, the header `Docreader-Results` says `unfinished`, and so does
/// the file's name.
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/export", tag = "results", operation_id = "export_results",
    params(
        ("id" = i64, Path, minimum = 1),
        ("format" = Option<Format>, Query, description = "coco if it is not given"),
        ("page" = Option<i32>, Query, minimum = 1, description = "Only this page"),
    ),
    responses((status = 200, description = "The file", content(
        (String = "application/json"), (String = "text/csv"), (String = "application/jsonl"), (String = "text/html"),
        (String = "application/xml"), (String = "application/zip"),
    ))),
)]
pub async fn export(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let id: i64 = path(&request, "id")?;
    let mut query = Query::of(&request);
    let format = query.take("format").unwrap_or_else(|| "coco".to_owned());
    let wrong = || Problem::parameter("format", "must be coco, csv, jsonl, hocr, labelme or pagexml");
    let format = Format::parse(&format).ok_or_else(wrong)?;
    let number: Option<i32> = query.number("page", 1, i32::MAX)?;
    query.done()?;
    let document = find_document(&state, id).await?;
    let results = in_time(ANSWER, results(&state, document, number)).await?;
    if let (Some(n), None) = (number, results.pages.first()) {
        return Err(Problem::new(Code::NotFound, format!("Document {id} has no finished page {n}.")));
    }
    let complete = results.complete;
    let Kind { content_type, extension, writer } = Kind::of(format, number.is_some());
    let mut export = Export::new(state, results, writer);
    let first = export.next().await.map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    let unfinished = if complete { "" } else { "unfinished." };
    let disposition = format!("attachment; filename=\"document-{id}.{unfinished}{extension}\"");
    let mut response = HttpResponse::Ok();
    response
        .content_type(content_type)
        .insert_header(("Docreader-Results", if complete { "complete" } else { "unfinished" }))
        .insert_header(("Content-Disposition", disposition));
    let Some(first) = first else { return Ok(response.finish()) };
    if export.is_over() {
        return Ok(response.body(first));
    }
    let rest = try_unfold(export, async |mut export: Export| Ok(export.next().await?.map(|part| (part, export))));
    Ok(response.streaming(once(async { Ok::<_, anyhow::Error>(first) }).chain(rest)))
}

/// All of one moment: a run that ends meanwhile changes nothing.
async fn results(state: &State, document: DocumentRow, number: Option<i32>) -> sqlx::Result<Results> {
    let mut snapshot = state.pool.begin_with("begin isolation level repeatable read, read only").await?;
    let shown = documents::shown(&mut *snapshot, document.id).await?;
    let pages = documents::pages(&mut *snapshot, document.id, number).await?;
    snapshot.commit().await?;
    let complete = shown.as_ref().is_some_and(|s| s.complete);
    Ok(Results { document, complete, classes: shown.map(|s| s.classes).unwrap_or_default(), pages })
}

//! `GET /api/v1/documents/{id}/export`: results as other tools read them.

mod coco;
mod hocr;
mod labelme;
mod pagexml;
mod table;

use std::io::{Cursor, Write};

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::params::{Query, path};
use super::problem::{Code, Problem, Result};
use super::results::existing;
use crate::api::State;
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
    fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

/// What is exported.
struct Results {
    document: DocumentRow,
    /// All its pages are there.
    complete: bool,
    classes: Vec<String>,
    pages: Vec<PageRow>,
    found: Vec<FoundRow>,
}

/// A finished answer.
struct File {
    content_type: &'static str,
    extension: &'static str,
    bytes: Vec<u8>,
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
    let document = existing(&state, id).await?;
    let _turn = state.exports.acquire().await.map_err(|e| Problem::new(Code::Internal, e.to_string()))?;
    let shown = documents::shown(&state.pool, id).await?;
    let results = Results {
        document,
        complete: shown.as_ref().is_some_and(|s| s.complete),
        classes: shown.map(|s| s.classes).unwrap_or_default(),
        pages: documents::pages(&state.pool, id, number).await?,
        found: documents::found(&state.pool, id, number).await?,
    };
    if let (Some(n), None) = (number, results.pages.first()) {
        return Err(Problem::new(Code::NotFound, format!("Document {id} has no finished page {n}.")));
    }
    let complete = results.complete;
    // Not on a thread that answers requests.
    let written = web::block(move || write(&results, format, number.is_some())).await;
    let internal = |e: &dyn std::fmt::Display| Problem::new(Code::Internal, e.to_string());
    let file = written.map_err(|e| internal(&e))?.map_err(|e| internal(&e))?;
    let unfinished = if complete { "" } else { "unfinished." };
    let disposition = format!("attachment; filename=\"document-{id}.{unfinished}{}\"", file.extension);
    Ok(HttpResponse::Ok()
        .content_type(file.content_type)
        .insert_header(("Docreader-Results", if complete { "complete" } else { "unfinished" }))
        .insert_header(("Content-Disposition", disposition))
        .body(file.bytes))
}

fn write(results: &Results, format: Format, one_page: bool) -> anyhow::Result<File> {
    let Results { document, complete, classes, pages, found } = results;
    let file = |content_type, extension, bytes| File { content_type, extension, bytes };
    Ok(match format {
        Format::Coco => {
            let coco = coco::coco(&document.title, *complete, classes, pages, found);
            file("application/json", "coco.json", serde_json::to_vec(&coco)?)
        }
        Format::Csv => file("text/csv; charset=utf-8", "csv", table::csv(found).into()),
        Format::Jsonl => file("application/jsonl", "jsonl", table::jsonl(document.id, found)?.into()),
        Format::Hocr => file("text/html; charset=utf-8", "hocr.html", hocr::hocr(&document.title, pages, found).into()),
        Format::Labelme => {
            let json = |page: &PageRow, found: &[FoundRow]| Ok(serde_json::to_vec(&labelme::labelme(page, found))?);
            by_page(results, one_page, ("application/json", "labelme.json", "labelme.zip"), json)?
        }
        Format::Pagexml => {
            let time = document.finished_at.or(document.started_at).unwrap_or_else(OffsetDateTime::now_utc);
            let xml = |page: &PageRow, found: &[FoundRow]| Ok(pagexml::pagexml(page, found, time).into());
            by_page(results, one_page, ("application/xml", "page.xml", "page.zip"), xml)?
        }
    })
}

/// The file of one page, or a ZIP of all pages' files.
fn by_page(
    results: &Results,
    one_page: bool,
    (content_type, extension, zip_extension): (&'static str, &'static str, &'static str),
    write: impl Fn(&PageRow, &[FoundRow]) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<File> {
    let on = |page: &PageRow| on_page(&results.found, page.number);
    if let (true, Some(page)) = (one_page, results.pages.first()) {
        return Ok(File { content_type, extension, bytes: write(page, on(page))? });
    }
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let suffix = extension.rsplit('.').next().unwrap_or(extension);
    for page in &results.pages {
        zip.start_file(format!("page-{}.{suffix}", page.number), SimpleFileOptions::default())?;
        zip.write_all(&write(page, on(page))?)?;
    }
    Ok(File { content_type: "application/zip", extension: zip_extension, bytes: zip.finish()?.into_inner() })
}

/// A page's part of what was found, which goes by page.
fn on_page(found: &[FoundRow], number: i32) -> &[FoundRow] {
    let start = found.partition_point(|d| d.page < number);
    let end = found.partition_point(|d| d.page <= number);
    &found[start..end]
}

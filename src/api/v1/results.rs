//! Pages, detections and pictures. MEDIA decides whether pictures are sent from here.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::json::{Detection, Page};
use super::params::path;
use super::problem::{Code, Problem, Result};
use crate::api::{State, media};
use crate::documents::{self, Delivery, DocumentRow, FailedPage, PageRow};

pub async fn find_document(state: &State, id: i64) -> Result<DocumentRow> {
    documents::get(&state.pool, id).await?.ok_or_else(|| Problem::no_document(id))
}

async fn finished_page(state: &State, request: &HttpRequest) -> Result<(i64, PageRow)> {
    let (id, number): (i64, i32) = (path(request, "id")?, path(request, "number")?);
    find_document(state, id).await?;
    let page = documents::pages(&state.pool, id, Some(number)).await?.pop();
    let missing = || Problem::new(Code::NotFound, format!("Document {id} has no finished page {number}."));
    Ok((id, page.ok_or_else(missing)?))
}

#[derive(Serialize, ToSchema)]
pub struct Pages {
    pages: Vec<Page>,
    /// Those on which nothing could be found.
    failed: Vec<FailedPage>,
}

/// List finished pages, and those that failed
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/pages", tag = "results", operation_id = "list_pages",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "In order", body = Pages))
)]
pub async fn pages(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let id = path(&request, "id")?;
    find_document(&state, id).await?;
    let rows = documents::pages(&state.pool, id, None).await?;
    let failed = documents::failed_pages(&state.pool, id).await?;
    Ok(HttpResponse::Ok().json(Pages { pages: rows.iter().map(|row| Page::new(id, row)).collect(), failed }))
}

/// Read a finished page
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/pages/{number}", tag = "results", operation_id = "get_page",
    params(("id" = i64, Path, minimum = 1), ("number" = i32, Path, minimum = 1)),
    responses((status = 200, description = "The page", body = Page))
)]
pub async fn page(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let (id, row) = finished_page(&state, &request).await?;
    Ok(HttpResponse::Ok().json(Page::new(id, &row)))
}

#[derive(Serialize, ToSchema)]
pub struct Detections {
    detections: Vec<Detection>,
}

/// What was found on a page
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/pages/{number}/detections", tag = "results", operation_id = "list_detections",
    params(("id" = i64, Path, minimum = 1), ("number" = i32, Path, minimum = 1)),
    responses((status = 200, description = "Best score first", body = Detections))
)]
pub async fn detections(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let (id, page) = finished_page(&state, &request).await?;
    let rows = documents::found(&state.pool, &[page.id]).await?;
    let detections = rows.into_iter().map(|row| Detection::new(id, row, &page)).collect();
    Ok(HttpResponse::Ok().json(Detections { detections }))
}

/// The file itself
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/file", tag = "results", operation_id = "get_file",
    params(("id" = i64, Path, minimum = 1)),
    responses(
        (status = 200, description = "The file, with MEDIA=proxy", content(
            (String = "application/pdf"), (String = "image/png"), (String = "image/jpeg"), (String = "image/tiff"),
            (String = "image/webp"), (String = "image/bmp"), (String = "application/octet-stream"),
        )),
        (status = 302, description = "To its URL in the bucket; with MEDIA=presigned it is good for a quarter of an hour", headers(("Location" = String))),
    )
)]
pub async fn file(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let document = find_document(&state, path(&request, "id")?).await?;
    media::give(&state, &request, &document.object_key).await
}

/// The rendered page, a PNG
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/pages/{number}/image", tag = "results", operation_id = "get_page_image",
    params(("id" = i64, Path, minimum = 1), ("number" = i32, Path, minimum = 1)),
    responses(
        (status = 200, description = "The picture, with MEDIA=proxy", body = String, content_type = "image/png"),
        (status = 302, description = "To its URL in the bucket; with MEDIA=presigned it is good for a quarter of an hour", headers(("Location" = String))),
    )
)]
pub async fn image(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let (_, page) = finished_page(&state, &request).await?;
    let missing = || Problem::new(Code::NotFound, "This page was processed before page images were kept.");
    media::give(&state, &request, &page.image_key.ok_or_else(missing)?).await
}

/// The page at most 200 pixels wide and 400 high, a JPEG
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/pages/{number}/thumbnail", tag = "results", operation_id = "get_page_thumbnail",
    params(("id" = i64, Path, minimum = 1), ("number" = i32, Path, minimum = 1)),
    responses(
        (status = 200, description = "The picture, with MEDIA=proxy", body = String, content_type = "image/jpeg"),
        (status = 302, description = "To its URL in the bucket; with MEDIA=presigned it is good for a quarter of an hour", headers(("Location" = String))),
    )
)]
pub async fn thumbnail(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let (_, page) = finished_page(&state, &request).await?;
    let missing = || Problem::new(Code::NotFound, "This page was processed before thumbnails were made.");
    media::give(&state, &request, &page.thumbnail_key.ok_or_else(missing)?).await
}

/// The page with its regions drawn, a PNG
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/pages/{number}/overlay", tag = "results", operation_id = "get_page_overlay",
    params(("id" = i64, Path, minimum = 1), ("number" = i32, Path, minimum = 1)),
    responses(
        (status = 200, description = "The picture, with MEDIA=proxy", body = String, content_type = "image/png"),
        (status = 302, description = "To its URL in the bucket; with MEDIA=presigned it is good for a quarter of an hour", headers(("Location" = String))),
    )
)]
pub async fn overlay(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let (_, page) = finished_page(&state, &request).await?;
    media::give(&state, &request, &page.overlay_key).await
}

/// A region that was cut out, a PNG
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/pages/{number}/crops/{ordinal}", tag = "results", operation_id = "get_crop",
    params(("id" = i64, Path, minimum = 1), ("number" = i32, Path, minimum = 1), ("ordinal" = i32, Path, minimum = 0)),
    responses(
        (status = 200, description = "The picture, with MEDIA=proxy", body = String, content_type = "image/png"),
        (status = 302, description = "To its URL in the bucket; with MEDIA=presigned it is good for a quarter of an hour", headers(("Location" = String))),
    )
)]
pub async fn crop(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let (_, page) = finished_page(&state, &request).await?;
    let ordinal: i32 = path(&request, "ordinal")?;
    let rows = documents::found(&state.pool, &[page.id]).await?;
    let key = rows.into_iter().find(|row| row.ordinal == ordinal).and_then(|row| row.crop_key);
    let missing =
        || Problem::new(Code::NotFound, format!("Detection {ordinal} of page {} was not cut out.", page.number));
    media::give(&state, &request, &key.ok_or_else(missing)?).await
}

#[derive(Serialize, ToSchema)]
pub struct Deliveries {
    deliveries: Vec<Delivery>,
}

/// Messages to the callback URL, and how they fared
#[utoipa::path(
    get, path = "/api/v1/documents/{id}/deliveries", tag = "documents", operation_id = "list_deliveries",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "Oldest first", body = Deliveries))
)]
pub async fn deliveries(request: HttpRequest, state: web::Data<State>) -> Result<HttpResponse> {
    let id = path(&request, "id")?;
    find_document(&state, id).await?;
    let deliveries = documents::deliveries(&state.pool, id).await?;
    Ok(HttpResponse::Ok().json(Deliveries { deliveries }))
}

//! `POST /api/v1/documents`

use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::{self, Payload};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

use super::json::location;
use super::params::number;
use super::problem::{Code, Problem, Result};
use super::read::document;
use super::results::existing;
use crate::api::State;
use crate::api::form::{FileField, Form, TitleField};
use crate::api::receive::{MAX_FIELDS, MultipartBody};
use crate::documents::{self, DocumentRow, NewDocument, Options, PageRange, Title};
use crate::storage::{ObjectKey, Uploaded};

pub async fn create(request: HttpRequest, payload: Payload, state: web::Data<State>) -> Result<HttpResponse> {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("multipart/form-data") {
        let detail = format!("The body must be multipart/form-data with a part `file`, not {media_type:?}.");
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let key = idempotency_key(&request)?;
    let body = MultipartBody::new(request.headers(), payload, state.max_upload + MAX_FIELDS as u64)?;
    // A task of its own: it cleans up even when the client hangs up and this handler is dropped.
    let task = actix_web::rt::spawn(async move { store(&state, body, key).await });
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "an upload's task ended");
        Ok(HttpResponse::InternalServerError().finish())
    })
}

fn idempotency_key(request: &HttpRequest) -> Result<Option<String>> {
    let Some(header) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let key = header.to_str().ok().filter(|k| (1..=255).contains(&k.len()));
    key.map(|k| Some(k.to_owned()))
        .ok_or_else(|| Problem::parameter("Idempotency-Key", "must be 1 to 255 ASCII characters"))
}

async fn store(state: &State, body: MultipartBody, key: Option<String>) -> Result<HttpResponse> {
    let _turn = state.uploads.acquire().await;
    let mut form = Form::default();
    let received = state.receive(body, &mut form).await.map_err(Problem::from);
    let result = match received.and_then(|()| Wanted::read(&form, key)) {
        Ok(wanted) => wanted.keep(state, &mut form).await,
        Err(problem) => Err(problem),
    };
    if result.is_err() {
        state.discard(&mut form).await;
    }
    result
}

/// A form that makes a document.
struct Wanted {
    title: Title,
    key: ObjectKey,
    upload: Uploaded,
    options: Options,
}

impl Wanted {
    fn read(form: &Form, idempotency_key: Option<String>) -> Result<Self> {
        let missing = |detail: &str| Problem::new(Code::MissingFile, detail);
        let (key, upload) = match &form.file {
            FileField::Stored(key, upload) => (key.clone(), upload.clone()),
            FileField::Empty => return Err(missing("The file is empty.")),
            FileField::BadName(e) => return Err(missing(&e.to_string())),
            FileField::Missing | FileField::Null | FileField::NotAFile => {
                return Err(missing("A part `file` with a file name is needed."));
            }
        };
        let title = match &form.title {
            TitleField::Text(text) => text.clone(),
            TitleField::Missing => key.as_str().trim_start_matches("media/").to_owned(),
            _ => return Err(Problem::new(Code::InvalidTitle, "The title must be a text field.")),
        };
        let title = Title::parse(&title).map_err(|errors| {
            let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Problem::new(Code::InvalidTitle, all.join(" "))
        })?;
        let mut options = options(&form.others)?;
        options.idempotency = idempotency_key.map(|k| (k, fingerprint(&title, &options, &upload)));
        Ok(Self { title, key, upload, options })
    }

    async fn keep(&self, state: &State, form: &mut Form) -> Result<HttpResponse> {
        if let Some(answer) = self.earlier(state).await? {
            state.discard(form).await;
            return Ok(answer);
        }
        let new = NewDocument {
            title: &self.title,
            object_key: self.key.as_str(),
            size: self.upload.size,
            sha256: &self.upload.sha256,
            options: &self.options,
        };
        match state.insert(form, &new).await {
            Ok(id) => accepted(state, existing(state, id).await?).await,
            // Another request with this key was a moment faster.
            Err(error) if error.as_database_error().is_some_and(|e| e.is_unique_violation()) => {
                self.earlier(state).await?.ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The answer of an earlier request with the same idempotency key.
    async fn earlier(&self, state: &State) -> Result<Option<HttpResponse>> {
        let Some((key, fingerprint)) = &self.options.idempotency else { return Ok(None) };
        let Some(id) = documents::by_idempotency_key(&state.pool, key).await? else { return Ok(None) };
        let Some(row) = documents::get(&state.pool, id).await? else { return Ok(None) };
        if row.request_sha256.as_ref() != Some(fingerprint) {
            let detail = format!("Idempotency-Key {key:?} stands for another file, title or options (document {id}).");
            return Err(Problem::new(Code::IdempotencyMismatch, detail));
        }
        accepted(state, row).await.map(Some)
    }
}

async fn accepted(state: &State, row: DocumentRow) -> Result<HttpResponse> {
    let location = location(row.id);
    Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).json(document(state, row).await?))
}

/// What the other fields ask for; an unknown one is refused rather than passed over.
fn options(fields: &[(String, String)]) -> Result<Options> {
    let mut options = Options::default();
    for (name, value) in fields {
        match name.as_str() {
            "pages" => {
                options.page_range = Some(PageRange::parse(value).map_err(|e| Problem::parameter("pages", e))?);
            }
            "score_threshold" => options.score_threshold = Some(number(name, value, 0.0, 1.0)?),
            "crop_min_score" => options.crop_min_score = Some(number(name, value, 0.0, 1.0)?),
            "priority" => options.priority = number(name, value, -100, 100)?,
            other => return Err(Problem::parameter(other, "there is no such field")),
        }
    }
    Ok(options)
}

/// What an idempotency key stands for.
fn fingerprint(title: &Title, options: &Options, upload: &Uploaded) -> String {
    let text = format!(
        "{:?} {:?} {:?} {:?} {} {}",
        title.as_str(),
        options.page_range,
        options.score_threshold,
        options.crop_min_score,
        options.priority,
        upload.sha256
    );
    hex::encode(Sha256::digest(text))
}

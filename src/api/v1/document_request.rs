//! What a client asks for with a document, as form fields or as JSON.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::params::number;
use super::problem::{Code, Problem, Result};
use crate::api::State;
use crate::api::form::{FileField, Form, TitleField};
use crate::documents::{self, Again, Options, PageRange, Title};
use crate::storage::{ObjectKey, Uploaded};

/// A document with its file. An empty field counts as one that is not there.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentForm {
    /// PDF, PNG, JPEG, TIFF, WebP or BMP.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    pub file: (ObjectKey, Uploaded),
    /// The file's name if there is none.
    #[schema(value_type = Option<String>, nullable = false, max_length = 200)]
    pub title: Option<Title>,
    /// Pages to process, such as `1-3,5`; all of them if there is none.
    #[schema(
        nullable = false,
        pattern = "^([1-9][0-9]{0,8}(-[1-9][0-9]{0,8})?(,[1-9][0-9]{0,8}(-[1-9][0-9]{0,8})?)*)?$"
    )]
    pages: Option<String>,
    /// Regions with a lower score are not reported.
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    score_threshold: Option<f32>,
    /// Regions with this score or more are cut out.
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    crop_min_score: Option<f32>,
    /// Higher first.
    #[schema(nullable = false, minimum = -100, maximum = 100)]
    priority: Option<i32>,
    /// Name of the model that is to be used; `GET /api/v1/models` lists them.
    #[schema(nullable = false)]
    model: Option<String>,
    /// Gets a signed POST when the document is done, failed or canceled: http or https, at a public address.
    #[schema(nullable = false, pattern = "^(https?://.*)?$", max_length = 2048)]
    callback_url: Option<String>,
}

impl DocumentForm {
    /// From what was sent; an unknown field is refused rather than passed over.
    pub fn parse(sent: &Form) -> Result<Self> {
        let missing = |detail: &str| Problem::new(Code::MissingFile, detail);
        let file = match &sent.file {
            FileField::Stored(object, upload) => (object.clone(), upload.clone()),
            FileField::Empty => return Err(missing("The file is empty.")),
            FileField::BadName(e) => return Err(missing(&e.to_string())),
            FileField::Missing | FileField::Null | FileField::NotAFile => {
                return Err(missing("A part `file` with a file name is needed."));
            }
        };
        let title = match &sent.title {
            TitleField::Text(text) if !text.is_empty() => Some(title(text)?),
            TitleField::Missing | TitleField::Text(_) => None,
            _ => return Err(Problem::new(Code::InvalidTitle, "The title must be a text field.")),
        };
        let (mut processing, mut callback_url) = (ReprocessRequest::default(), None);
        // Forms send empty texts for what was not filled in.
        for (name, value) in sent.others.iter().filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "callback_url" => callback_url = Some(value.clone()),
                _ => processing.take_field(name, value)?,
            }
        }
        let ReprocessRequest { pages, score_threshold, crop_min_score, priority, model } = processing;
        Ok(Self { file, title, pages, score_threshold, crop_min_score, priority, model, callback_url })
    }

    /// Checks everything but the file and the title.
    pub async fn options(&self, state: &State) -> Result<Options> {
        let processing = ReprocessRequest {
            pages: self.pages.clone(),
            score_threshold: self.score_threshold,
            crop_min_score: self.crop_min_score,
            priority: self.priority,
            model: self.model.clone(),
        };
        options(state, processing, self.callback_url.as_deref()).await
    }
}

/// A document whose file is at a URL, or in the bucket already.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentRequest {
    /// Where the worker gets the file from: http or https, at a public address.
    #[schema(format = "uri", pattern = "^https?://", max_length = 2048)]
    pub url: Option<String>,
    /// The id of a finished upload (`POST /api/v1/uploads`).
    pub upload: Option<Uuid>,
    /// The file's name if there is none.
    #[schema(min_length = 1, max_length = 200)]
    pub title: Option<String>,
    /// Pages to process, such as `1-3,5`; all of them if there is none.
    #[schema(pattern = "^[1-9][0-9]{0,8}(-[1-9][0-9]{0,8})?(,[1-9][0-9]{0,8}(-[1-9][0-9]{0,8})?)*$")]
    pub pages: Option<String>,
    /// Regions with a lower score are not reported.
    #[schema(minimum = 0, maximum = 1)]
    pub score_threshold: Option<f32>,
    /// Regions with this score or more are cut out.
    #[schema(minimum = 0, maximum = 1)]
    pub crop_min_score: Option<f32>,
    /// Higher first.
    #[schema(minimum = -100, maximum = 100)]
    pub priority: Option<i32>,
    /// Name of the model that is to be used; `GET /api/v1/models` lists them.
    pub model: Option<String>,
    /// Gets a signed POST when the document is done, failed or canceled: http or https, at a public address.
    #[schema(format = "uri", pattern = "^https?://", max_length = 2048)]
    pub callback_url: Option<String>,
}

impl DocumentRequest {
    pub fn at(url: String, title: Option<String>, processing: ReprocessRequest) -> Self {
        let ReprocessRequest { pages, score_threshold, crop_min_score, priority, model } = processing;
        let (upload, callback_url) = (None, None);
        Self { url: Some(url), upload, title, pages, score_threshold, crop_min_score, priority, model, callback_url }
    }

    /// Checks everything but the file's source and the title.
    pub async fn options(&self, state: &State) -> Result<Options> {
        let processing = ReprocessRequest {
            pages: self.pages.clone(),
            score_threshold: self.score_threshold,
            crop_min_score: self.crop_min_score,
            priority: self.priority,
            model: self.model.clone(),
        };
        options(state, processing, self.callback_url.as_deref()).await
    }
}

async fn options(state: &State, processing: ReprocessRequest, callback_url: Option<&str>) -> Result<Options> {
    if let Some(url) = callback_url {
        check_url(state, "callback_url", url)?;
        if !state.settings.webhooks {
            return Err(Problem::new(
                Code::CallbacksDisabled,
                "This server sends no webhooks; its operator has to set WEBHOOK_SECRET.",
            ));
        }
    }
    let again = processing.again(state).await?;
    Ok(Options {
        page_range: again.page_range,
        score_threshold: again.score_threshold,
        crop_min_score: again.crop_min_score,
        priority: again.priority.unwrap_or(0),
        model: again.model,
        callback_url: callback_url.map(str::to_owned),
        idempotency: None,
    })
}

/// What is to be different when a document is processed again.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReprocessRequest {
    /// Pages to process, such as `1-3,5`; `1-999999999` for all of them.
    #[schema(pattern = "^[1-9][0-9]{0,8}(-[1-9][0-9]{0,8})?(,[1-9][0-9]{0,8}(-[1-9][0-9]{0,8})?)*$")]
    pages: Option<String>,
    /// Regions with a lower score are not reported.
    #[schema(minimum = 0, maximum = 1)]
    score_threshold: Option<f32>,
    /// Regions with this score or more are cut out.
    #[schema(minimum = 0, maximum = 1)]
    crop_min_score: Option<f32>,
    /// Higher first.
    #[schema(minimum = -100, maximum = 100)]
    priority: Option<i32>,
    /// Name of the model that is to be used; `GET /api/v1/models` lists them.
    model: Option<String>,
}

impl ReprocessRequest {
    /// From a body; none asks for nothing.
    pub fn parse(body: &[u8]) -> Result<Self> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body).map_err(|e| Problem::new(Code::InvalidForm, format!("The JSON: {e}.")))
    }

    /// From a form's field, which is not empty.
    pub fn take_field(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "pages" => self.pages = Some(value.to_owned()),
            "score_threshold" => self.score_threshold = Some(number(name, value, 0.0, 1.0)?),
            "crop_min_score" => self.crop_min_score = Some(number(name, value, 0.0, 1.0)?),
            "priority" => self.priority = Some(number(name, value, -100, 100)?),
            "model" => self.model = Some(value.to_owned()),
            other => return Err(Problem::parameter(other, "there is no such field")),
        }
        Ok(())
    }

    /// Checks what is asked for.
    pub async fn again(self, state: &State) -> Result<Again> {
        for (name, value) in [("score_threshold", self.score_threshold), ("crop_min_score", self.crop_min_score)] {
            if value.is_some_and(|v| !(0.0..=1.0).contains(&v)) {
                return Err(Problem::parameter(name, "must be a number from 0 to 1"));
            }
        }
        if self.priority.is_some_and(|p| !(-100..=100).contains(&p)) {
            return Err(Problem::parameter("priority", "must be a number from -100 to 100"));
        }
        let pages = self.pages.as_deref().map(PageRange::parse).transpose();
        let page_range = pages.map_err(|e| Problem::parameter("pages", e))?;
        if let Some(model) = &self.model
            && (model.contains('\0') || !documents::model_is_known(&state.pool, model).await?)
        {
            let detail = format!("No worker has had a model {model:?}; GET /api/v1/models lists them.");
            return Err(Problem::new(Code::UnknownModel, detail));
        }
        Ok(Again {
            page_range,
            score_threshold: self.score_threshold,
            crop_min_score: self.crop_min_score,
            priority: self.priority,
            model: self.model,
            anew: false,
        })
    }
}

pub fn check_url(state: &State, name: &str, url: &str) -> Result<()> {
    state.outbound.check(url).map_err(|why| Problem::new(Code::InvalidUrl, format!("{name}: {why}")))
}

pub fn title(text: &str) -> Result<Title> {
    Title::parse(text).map_err(|errors| {
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Problem::new(Code::InvalidTitle, all.join(" "))
    })
}

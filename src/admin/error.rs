//! What goes wrong on the way to a page.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::accounts::Role;
use crate::api::v1::problem::Problem;

pub type Result<T = HttpResponse> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not found")]
    NotFound,
    #[error("no document {0}")]
    NoDocument(i64),
    #[error("not logged in")]
    LoginNeeded,
    #[error("{} needed", .0.name())]
    RoleNeeded(Role),
    #[error("no page of this server sends this")]
    CrossSite,
    #[error("{0}")]
    BadRequest(String),
    #[error("too many attempts to log in")]
    TooMany { seconds: u64 },
    #[error("{0}")]
    Api(Problem),
    #[error("{0:#}")]
    Internal(anyhow::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Api(error.into())
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Api(problem)
    }
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::NoDocument(_) => StatusCode::NOT_FOUND,
            Self::LoginNeeded => StatusCode::UNAUTHORIZED,
            Self::RoleNeeded(_) | Self::CrossSite => StatusCode::FORBIDDEN,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Api(problem) => problem.status_code(),
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

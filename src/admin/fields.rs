use actix_web::dev::Payload;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::error::{Error, Result};
use super::visitor::Visitor;
use crate::api::session::CSRF_FIELD;

/// A posted form's fields, in their order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    pub fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The field's text without space around it; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.trim())
    }

    /// As it was typed.
    pub fn secret(&self, name: &str) -> &str {
        self.0.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// What somebody who is logged in sends by a form of ours; others' forms are refused.
#[derive(Debug)]
pub struct Posted {
    pub by: Visitor,
    pub fields: Fields,
}

impl FromRequest for Posted {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visitor = Visitor::extract(request);
        let (body, request) = (Bytes::from_request(request, payload), request.clone());
        Box::pin(async move {
            let by = visitor.await?;
            let body = body.await.map_err(|error| Error::BadRequest(format!("The form: {error}.")))?;
            let fields = Fields::parse(&body);
            if !by.0.is_meant(&request, Some(fields.secret(CSRF_FIELD))) {
                return Err(Error::CrossSite);
            }
            Ok(Self { by, fields })
        })
    }
}

/// The query's fields.
pub fn query(request: &HttpRequest) -> Fields {
    Fields::parse(request.query_string().as_bytes())
}

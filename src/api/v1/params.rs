//! Parameters from paths and queries, with errors that name them.

use std::str::FromStr;

use actix_web::HttpRequest;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::problem::{Code, Problem, Result};

/// A part of the path that is a number; anything else is no such thing.
pub fn path<T: FromStr>(request: &HttpRequest, name: &str) -> Result<T> {
    let text = request.match_info().get(name).unwrap_or_default();
    text.parse().map_err(|_| Problem::new(Code::NotFound, format!("There is nothing at {}.", request.path())))
}

/// The query's parameters; those that nobody asks for are refused by [`Query::done`].
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn of(request: &HttpRequest) -> Self {
        let pairs = form_urlencoded::parse(request.query_string().as_bytes());
        Self(pairs.map(|(k, v)| (k.into_owned(), v.into_owned())).collect())
    }

    pub fn take(&mut self, name: &str) -> Option<String> {
        let value = self.0.iter().rfind(|(k, _)| k == name).map(|(_, v)| v.clone());
        self.0.retain(|(k, _)| k != name);
        value
    }

    pub fn number<T: FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        name: &str,
        low: T,
        high: T,
    ) -> Result<Option<T>> {
        self.take(name).map(|text| number(name, &text, low, high)).transpose()
    }

    pub fn time(&mut self, name: &str) -> Result<Option<OffsetDateTime>> {
        let parse = |text: String| OffsetDateTime::parse(&text, &Rfc3339);
        let wrong = |_| Problem::parameter(name, "not a time; it looks like 2026-11-23T08:00:00Z");
        self.take(name).map(parse).transpose().map_err(wrong)
    }

    pub fn done(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::parameter(name, "there is no such parameter")),
        }
    }
}

pub fn number<T: FromStr + PartialOrd + std::fmt::Display>(name: &str, text: &str, low: T, high: T) -> Result<T> {
    let value = text.trim().parse::<T>().ok().filter(|v| *v >= low && *v <= high);
    value.ok_or_else(|| Problem::parameter(name, format!("must be a number from {low} to {high}")))
}

//! Content negotiation as Django REST framework does it (`rest_framework/negotiation.py`): `?format=` first, then `Accept` by
//! precedence, without looking at q.

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renderer {
    /// With this many spaces of indentation, 0 for compact.
    Json { indent: usize },
    /// The browsable page.
    Html,
}

impl Renderer {
    /// Of the JSON, which the browsable page shows, too.
    pub fn indent(self) -> usize {
        match self {
            Self::Json { indent } => indent,
            Self::Html => 4,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// An unknown `?format=`.
    NotFound,
    NotAcceptable,
}

/// A media type with its parameters, as far as DRF reads one.
struct MediaType<'a> {
    main: &'a str,
    sub: &'a str,
    indent: Option<&'a str>,
    precedence: u8,
}

impl<'a> MediaType<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let (main, sub) = parts.next().unwrap_or_default().split_once('/').unwrap_or_default();
        let (main, sub) = (main.trim(), sub.trim());
        let parameters: Vec<(&str, &str)> =
            parts.filter_map(|p| p.split_once('=')).map(|(k, v)| (k.trim(), v.trim().trim_matches('"'))).collect();
        let precedence = match (main, sub) {
            ("*", _) => 0,
            (_, "*") => 1,
            _ if parameters.iter().all(|(k, _)| *k == "q") => 2,
            _ => 3,
        };
        let indent = parameters.iter().find(|(k, _)| *k == "indent").map(|(_, v)| *v);
        Self { main, sub, indent, precedence }
    }

    fn matches(&self, main: &str, sub: &str) -> bool {
        let same = |a: &str, b: &str| a == "*" || a.eq_ignore_ascii_case(b);
        same(self.main, main) && same(self.sub, sub)
    }
}

/// What the client wants, or why it cannot have it.
pub fn negotiate(request: &HttpRequest) -> Result<Renderer, Refusal> {
    let format = form_urlencoded::parse(request.query_string().as_bytes()).filter(|(k, _)| k == "format").last();
    let (json, html) = match format.as_ref().map(|(_, v)| v.as_ref()) {
        None | Some("") => (true, true),
        Some("json") => (true, false),
        Some("api") => (false, true),
        Some(_) => return Err(Refusal::NotFound),
    };
    let header: Vec<&str> = request.headers().get_all(ACCEPT).filter_map(|v| v.to_str().ok()).collect();
    let header = if header.is_empty() { "*/*".to_owned() } else { header.join(",") };
    let accepted: Vec<MediaType> = header.split(',').map(|t| MediaType::parse(t.trim())).collect();
    for precedence in (0..=3).rev() {
        let of_this = || accepted.iter().filter(|m| m.precedence == precedence);
        if let Some(media_type) = of_this().find(|m| json && m.matches("application", "json")) {
            return Ok(Renderer::Json { indent: indent(media_type) });
        }
        if html && of_this().any(|m| m.matches("text", "html")) {
            return Ok(Renderer::Html);
        }
    }
    Err(Refusal::NotAcceptable)
}

/// `indent` is read only from a media type that says more than the renderer's own.
fn indent(media_type: &MediaType) -> usize {
    match media_type.indent {
        Some(text) if media_type.precedence == 3 => text.parse::<i64>().map_or(0, |n| n.clamp(0, 8) as usize),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn asked(accept: &str, query: &str) -> Result<Renderer, Refusal> {
        negotiate(&TestRequest::with_uri(&format!("/{query}")).insert_header((ACCEPT, accept)).to_http_request())
    }

    #[test]
    fn the_most_specific_type_wins_and_q_is_ignored() {
        let compact = Ok(Renderer::Json { indent: 0 });
        assert_eq!(asked("*/*", ""), compact);
        assert_eq!(asked("text/html;q=0.1, */*", ""), Ok(Renderer::Html));
        assert_eq!(asked("text/*, application/json", ""), compact);
        assert_eq!(asked("application/json; indent=4", ""), Ok(Renderer::Json { indent: 4 }));
        assert_eq!(asked("application/json; indent=99", ""), Ok(Renderer::Json { indent: 8 }));
        assert_eq!(asked("application/json; indent=x", ""), compact);
        assert_eq!(asked("text/html", "?format=json"), Err(Refusal::NotAcceptable));
        assert_eq!(asked("*/*", "?format=api"), Ok(Renderer::Html));
        assert_eq!(asked("*/*", "?format=xml"), Err(Refusal::NotFound));
        assert_eq!(asked("image/png", ""), Err(Refusal::NotAcceptable));
    }
}

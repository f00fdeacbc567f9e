//! The browsable page: the answer as a client would get it, the documents, and a form to upload one.

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage, HttpRequest};
use html_escape::{encode_double_quoted_attribute, encode_text};

/// Documents on a page.
pub const PAGE: i64 = 25;

const STYLE: &str = "\
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.5rem;margin:0 0 .25rem}a{color:#0b62b5}nav{color:#57606a;margin-bottom:1.5rem}ul{padding-left:1.2rem;overflow-wrap:anywhere}\
pre{background:#f5f6f8;border:1px solid #d8dde3;border-radius:6px;padding:1rem;overflow:auto;font-size:.85rem;white-space:pre-wrap;overflow-wrap:anywhere}\
form{display:grid;gap:.75rem;max-width:30rem;border:1px solid #d8dde3;border-radius:6px;padding:1rem}\
label{display:grid;gap:.25rem;font-weight:600}input{width:100%;font:inherit;padding:.4rem;border:1px solid #b6bec8;border-radius:4px}\
button{font:inherit;font-weight:600;padding:.5rem 1rem;border:0;border-radius:4px;background:#0b62b5;color:#fff;cursor:pointer;justify-self:start}\
.ok{color:#0a7d45}.bad{color:#b42318}\
@media(prefers-color-scheme:dark){body{background:#12161b;color:#e6e8eb}pre,form{background:#1a2027;border-color:#333c46}a{color:#6cb6ff}\
input{background:#12161b;color:inherit;border-color:#49535f}.ok{color:#4cc38a}.bad{color:#ff8a7a}}";

/// What a page says besides the answer, carried by the request's extensions.
#[derive(Clone, Default)]
pub struct Context {
    /// The title that was typed, for the form of a page that says what is wrong.
    pub title: String,
    /// The documents of the answer, by id and title.
    pub documents: Vec<(i64, String)>,
    /// The last document of a list that goes on.
    pub next: Option<i64>,
}

/// `json` is the indented text of the answer.
pub fn render(request: &HttpRequest, status: StatusCode, json: &str) -> String {
    let method = request.method();
    let context = request.extensions().get::<Context>().cloned().unwrap_or_default();
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let class = if status.is_success() { "ok" } else { "bad" };
    let hint = match &context.documents[..] {
        [(id, _)] if method == Method::POST => {
            format!(
                "<p class=\"ok\">The document is uploaded and waits for a worker: <a href=\"/admin/documents/{id}/\">follow it</a>.</p>"
            )
        }
        _ => String::new(),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Documents – docreader</title><link rel=\"icon\" href=\"/static/favicon.svg\"><style>{STYLE}</style></head><body><main>\
         <h1>Document List Create Api</h1>\
         <nav aria-label=\"Views\"><a href=\"/\">docreader</a> · <a href=\"/admin/documents/\">documents</a> · <a href=\"/api/v1/docs/\">API docs</a> · \
         <a href=\"?format=json\">as JSON</a> · <a href=\"./\">reload</a></nav>{hint}\
         <h2>Upload a document</h2>\
         <form method=\"post\" enctype=\"multipart/form-data\">\
         <label>Title <input name=\"title\" maxlength=\"200\" value=\"{}\" required></label>\
         <label>File <input name=\"file\" type=\"file\" accept=\"application/pdf,.pdf,image/*\" required></label>\
         <button>Upload</button></form>{}\
         <h2>{} {}</h2>\
         <pre tabindex=\"0\" aria-label=\"Answer\"><b class=\"{class}\">HTTP {}</b>\nAllow: GET, POST, HEAD, OPTIONS\nContent-Type: application/json\nVary: Accept, Cookie\n\n{}</pre>\
</main></body></html>\n",
        encode_double_quoted_attribute(&context.title),
        if method == Method::GET { list(&context) } else { String::new() },
        encode_text(method.as_str()),
        encode_text(target),
        encode_text(&status.to_string()),
        with_links(json),
    )
}

/// The documents with their pages for people, and the way on.
fn list(context: &Context) -> String {
    if context.documents.is_empty() {
        return String::new();
    }
    let item = |(id, title): &(i64, String)| {
        format!("<li><a href=\"/admin/documents/{id}/\">{id}</a> {}</li>", encode_text(title))
    };
    let items: String = context.documents.iter().map(item).collect();
    let next = context.next.map(|last| format!(" · <a href=\"?after={last}\" rel=\"next\">next {PAGE}</a>"));
    let pages = format!("<nav aria-label=\"Pages\"><a href=\"./\">first {PAGE}</a>{}</nav>", next.unwrap_or_default());
    format!("<h2>Documents</h2><ul>{items}</ul>{pages}")
}

/// Escaped, with links where a JSON text is a URL.
fn with_links(json: &str) -> String {
    let part = |(i, part): (usize, &str)| {
        let text = encode_text(part);
        // Every other part stands between quotation marks; one with an escaped mark is in pieces, which begin with no scheme.
        match i % 2 == 1 && (part.starts_with("http://") || part.starts_with("https://")) && !part.ends_with('\\') {
            true => format!("<a href=\"{}\">{text}</a>", encode_double_quoted_attribute(part)),
            false => text.into_owned(),
        }
    };
    json.split('"').enumerate().map(part).collect::<Vec<_>>().join("\"")
}

#[cfg(test)]
mod tests {
    use super::with_links;

    #[test]
    fn urls_are_links() {
        assert_eq!(
            with_links(r#"{"title": "<b>", "file": "http://h/a.pdf?x=1&y"}"#),
            r#"{"title": "&lt;b&gt;", "file": "<a href="http://h/a.pdf?x=1&amp;y">http://h/a.pdf?x=1&amp;y</a>"}"#
        );
        assert_eq!(with_links(r#"{"t": "say \"http://x\" "}"#).matches("<a").count(), 0);
    }
}

//! The browsable page: the answer as a client would get it, the documents, and a form to upload one.

use actix_web::HttpRequest;
use actix_web::http::{Method, StatusCode};
use html_escape::encode_text;

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}\
h1{font-size:1.5rem;margin:0 0 .25rem}a{color:#0b62b5}nav{color:#57606a;margin-bottom:1.5rem}\
pre{background:#f5f6f8;border:1px solid #d8dde3;border-radius:6px;padding:1rem;overflow:auto;font-size:.85rem}\
form{display:grid;gap:.75rem;max-width:30rem;border:1px solid #d8dde3;border-radius:6px;padding:1rem}\
label{display:grid;gap:.25rem;font-weight:600}input{font:inherit;padding:.4rem;border:1px solid #b6bec8;border-radius:4px}\
button{font:inherit;font-weight:600;padding:.5rem 1rem;border:0;border-radius:4px;background:#0b62b5;color:#fff;cursor:pointer;justify-self:start}\
.ok{color:#0a7d45}.bad{color:#b42318}\
@media(prefers-color-scheme:dark){body{background:#12161b;color:#e6e8eb}pre,form{background:#1a2027;border-color:#333c46}a{color:#6cb6ff}\
input{background:#12161b;color:inherit;border-color:#49535f}.ok{color:#4cc38a}.bad{color:#ff8a7a}}";

/// `json` is the indented text of the answer, `note` HTML that stands above it.
pub fn render(request: &HttpRequest, status: StatusCode, json: &str, note: &str) -> String {
    let method = request.method();
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let class = if status.is_success() { "ok" } else { "bad" };
    let hint = if method == Method::POST && status == StatusCode::CREATED {
        "<p class=\"ok\">The document is uploaded and waits for a worker.</p>"
    } else {
        ""
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Documents – docreader</title><style>{STYLE}</style></head><body>\
         <h1>Document List Create Api</h1>\
         <nav>docreader · <a href=\"?format=json\">as JSON</a> · <a href=\"./\">reload</a></nav>{hint}\
         <h2>Upload a document</h2>\
         <form method=\"post\" enctype=\"multipart/form-data\">\
         <label>Title <input name=\"title\" maxlength=\"200\" required></label>\
         <label>File <input name=\"file\" type=\"file\" accept=\"application/pdf,.pdf\" required></label>\
         <button>Upload</button></form>\
         <h2>{} {}</h2>{note}\
         <pre><b class=\"{class}\">HTTP {}</b>\nAllow: GET, POST, HEAD, OPTIONS\nContent-Type: application/json\nVary: Accept, Cookie\n\n{}</pre>\
</body></html>\n",
        encode_text(method.as_str()),
        encode_text(target),
        encode_text(&status.to_string()),
        encode_text(json),
    )
}

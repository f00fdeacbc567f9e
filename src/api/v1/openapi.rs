//! The API's description, made from the handlers and the types of their answers, and Swagger UI to try it.

use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use serde_json::{Value, json};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::{change, create, document_request, events, export, problem, read, results, system, uploads};

const PATH: &str = "/api/v1/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "docreader", description = "Finds titles, text, lists, tables and figures in documents.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        create::create, read::list, read::get, change::delete, change::cancel, change::retry, change::reprocess,
        events::stream, results::deliveries, uploads::create, results::file, export::export, results::pages,
        results::page, results::detections, results::image, results::thumbnail, results::overlay, results::crop, system::models,
        system::queue,
    ),
    components(schemas(export::Format, document_request::DocumentForm, document_request::DocumentRequest, document_request::ReprocessRequest, problem::Body)),
    modifiers(&Token),
    tags(
        (name = "documents", description = "Documents and their jobs"),
        (name = "results", description = "What was found"),
        (name = "system", description = "The service itself"),
    ),
)]
struct Api;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

fn problem(description: &str) -> Value {
    json!({
        "description": description,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

/// The description, with what is the same everywhere: security, and problems as the answer to everything that goes wrong.
fn description() -> Value {
    let mut api = serde_json::to_value(Api::openapi()).unwrap_or_default();
    // A token is needed only where the operator wants it.
    api["security"] = json!([{}, {"token": []}]);
    // Which says where the file is.
    api["components"]["schemas"]["DocumentRequest"]["oneOf"] = json!([{"required": ["url"]}, {"required": ["upload"]}]);
    // Texts in other formats than JSON, which no schema describes.
    for path in ["events", "export"] {
        let content =
            &mut api["paths"][format!("/api/v1/documents/{{id}}/{path}")]["get"]["responses"]["200"]["content"];
        content.as_object_mut().into_iter().flat_map(|c| c.values_mut()).for_each(|kind| *kind = json!({}));
    }
    for path in [
        "file",
        "pages/{number}/image",
        "pages/{number}/thumbnail",
        "pages/{number}/overlay",
        "pages/{number}/crops/{ordinal}",
    ] {
        let responses = &mut api["paths"][format!("/api/v1/documents/{{id}}/{path}")]["get"]["responses"];
        let content = responses["200"]["content"].as_object_mut();
        content.into_iter().flat_map(|c| c.values_mut()).for_each(|kind| *kind = json!({}));
        responses["206"] =
            json!({"description": "The `Range` of it that was asked for", "content": responses["200"]["content"]});
        responses["304"] = json!({"description": "`If-None-Match` names the version that it has still"});
        responses["416"] = problem("It has nothing in the `Range` that was asked for");
    }
    let paths = api["paths"].as_object_mut().into_iter().flat_map(|paths| paths.iter_mut());
    for (path, item) in paths {
        for operation in item.as_object_mut().into_iter().flat_map(|item| item.values_mut()) {
            let takes_body = operation.get("requestBody").is_some();
            let mut add = |status: &str, description: &str| operation["responses"][status] = problem(description);
            add("400", "Something of the request is wrong");
            add("401", "A token is needed");
            add("403", "The token may only read");
            add("429", "Too many requests; `Retry-After` says when to come back");
            add("500", "A fault of the server");
            add("503", "Database or storage do not answer, or too much waits; `Retry-After` says when to come back");
            if takes_body {
                add("409", "The server's state does not allow it");
            }
            if path.contains("{id}") || takes_body {
                add("404", "There is no such thing");
            }
            if takes_body {
                add("408", "The body came too slowly");
                add("413", "File or fields are too large");
                add("415", "The body is of another type");
                add("422", "The idempotency key stands for another request");
            }
        }
    }
    api
}

pub fn configure(config: &mut ServiceConfig) {
    let text = description().to_string();
    let answer = move || {
        let text = text.clone();
        async move { HttpResponse::Ok().content_type("application/json").body(text) }
    };
    // An own address for every server, and no validator on the web.
    let ui = Config::new([PATH]).validator_url("none").try_it_out_enabled(true).persist_authorization(true);
    config
        .route(PATH, web::get().to(answer))
        .service(web::redirect("/api/v1/docs", "/api/v1/docs/"))
        .service(SwaggerUi::new("/api/v1/docs/{_:.*}").config(ui));
}

//! Errors as pages, each with the next step.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ACCEPT, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;

use super::assets::filters;
use super::error::{Error, Result};
use super::page::{Page, respond, see_other};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    status: u16,
    heading: String,
    sentence: String,
    next_label: &'static str,
    next_url: &'static str,
}

impl ErrorPage {
    fn new(request: &HttpRequest, error: &Error) -> Self {
        let home = ("Go to the start page", "/");
        let documents = ("Go to the documents", "/admin/documents/");
        let (title, sentence, next) = match error {
            Error::NotFound => ("There is nothing here", format!("No page is at {}.", request.path()), home),
            Error::NoDocument(id) => {
                ("No such document", format!("There is no document {id}; it may have been deleted."), documents)
            }
            Error::LoginNeeded => ("Sign in first", "This page is for people who are signed in.".into(), home),
            Error::RoleNeeded(role) => {
                let sentence = format!("This needs the role {}; an admin can give it to you.", role.name());
                ("Not allowed for your role", sentence, documents)
            }
            Error::CrossSite => {
                let sentence = "The form was too old, or another site sent it. Nothing was changed; go back, reload \
                                the page and try again.";
                ("The request was refused", sentence.into(), documents)
            }
            Error::BadRequest(sentence) => ("The request cannot be read", sentence.clone(), documents),
            Error::TooMany { seconds } => {
                let sentence = format!("There were too many attempts; the next may come in {seconds} s.");
                ("Too many attempts", sentence, ("Back to the sign-in page", "/admin/login/"))
            }
            Error::Api(problem) => (problem.title(), problem.detail().to_owned(), documents),
            Error::Internal(_) => {
                let sentence = "The server's log says why. Try again; if it stays so, tell the operator.";
                ("Something went wrong here", sentence.into(), home)
            }
        };
        let page = Page::new(request, "", title);
        let status = error.status_code().as_u16();
        Self { page, status, heading: title.into(), sentence, next_label: next.0, next_url: next.1 }
    }
}

/// Whether whoever asks reads pages, not JSON.
pub fn wants_html(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|part| part.trim().starts_with("text/html"))
}

/// What is at no path: a page for people, JSON as Django REST framework's for programs.
pub async fn nothing(request: HttpRequest) -> Result {
    if wants_html(&request) { Err(Error::NotFound) } else { Ok(crate::api::not_found(request).await) }
}

/// The same where no middleware makes pages of errors.
pub async fn anywhere_else(request: HttpRequest) -> HttpResponse {
    match nothing(request.clone()).await {
        Ok(response) => response,
        Err(error) => page_of(&request, &error),
    }
}

fn page_of(request: &HttpRequest, error: &Error) -> HttpResponse {
    let page = respond(error.status_code(), &ErrorPage::new(request, error));
    page.unwrap_or_else(|error| HttpResponse::new(error.status_code()))
}

/// Makes a page of a handler's error; who is not logged in is sent to the page for that.
pub async fn render(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> std::result::Result<ServiceResponse<EitherBody<impl MessageBody, BoxBody>>, actix_web::Error> {
    let response = next.call(request).await?;
    let Some(error) = response.response().error().and_then(|error| error.as_error::<Error>()) else {
        return Ok(response.map_into_left_body());
    };
    let request = response.request();
    if error.status_code().is_server_error() {
        tracing::error!(%error, path = request.path(), "a page failed");
    }
    let page = match error {
        Error::LoginNeeded => see_other(&login_url(request)),
        error => {
            let mut page = page_of(request, error);
            if let Error::TooMany { seconds } = error {
                page.headers_mut().insert(RETRY_AFTER, (*seconds).into());
            }
            page
        }
    };
    Ok(response.into_response(page).map_into_right_body())
}

/// Where to log in, and then to come back to if that is a page that can be asked for again.
fn login_url(request: &HttpRequest) -> String {
    let next = match request.method().is_safe() {
        true => request.uri().path_and_query().map_or("/admin/", |path| path.as_str()),
        false => "/admin/",
    };
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("/admin/login/?next={next}")
}

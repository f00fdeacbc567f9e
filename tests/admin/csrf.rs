//! Forms that no page of ours has sent are refused.

use docreader::accounts::Role;
use reqwest::{Method, StatusCode};

use crate::common::TestApp;
use crate::person::{PASSWORD, Person, add_user};

#[tokio::test]
async fn a_form_without_the_token_or_from_elsewhere_is_refused() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "otto", Role::Operator).await;
    add_user(&app, "ada", Role::Admin).await;
    let (otto, ada) = (Person::logged_in(&server, "otto").await, Person::logged_in(&server, "ada").await);
    let post = || otto.request(Method::POST, "/admin/logout/");
    let right = [("csrf_token", otto.csrf.as_str())];
    for (what, request) in [
        ("no token", post().form(&[("a", "b")])),
        ("no body", post()),
        ("an empty token", post().form(&[("csrf_token", "")])),
        ("another's token", post().form(&[("csrf_token", ada.csrf.as_str())])),
        ("the token in the query", otto.request(Method::POST, &format!("/admin/logout/?csrf_token={}", otto.csrf))),
        ("another origin", post().form(&right).header("Origin", "https://example.org")),
        ("another port", post().form(&right).header("Origin", "http://127.0.0.1:1")),
        ("no origin to name", post().form(&right).header("Origin", "null")),
        ("another referrer", post().form(&right).header("Referer", "https://example.org/a")),
        ("another site", post().form(&right).header("Sec-Fetch-Site", "cross-site")),
        ("a sister site", post().form(&right).header("Sec-Fetch-Site", "same-site")),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{what}");
        assert!(response.text().await.unwrap().contains("The request was refused"), "{what}");
    }
    assert!(otto.is_known().await, "one of them has logged out");
    let same = post().form(&right).header("Origin", &otto.origin).header("Sec-Fetch-Site", "same-origin");
    assert_eq!(same.send().await.unwrap().status(), StatusCode::SEE_OTHER);
    assert!(!otto.is_known().await);
    app.finish().await;
}

#[tokio::test]
async fn nobody_is_logged_in_by_another_site() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "otto", Role::Operator).await;
    let mut otto = Person::at(&server);
    for header in [("Origin", "https://example.org"), ("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(otto.log_in("otto", PASSWORD, &[header]).await.status(), StatusCode::FORBIDDEN, "{header:?}");
    }
    assert_eq!(otto.cookie, None);
    app.finish().await;
}

//! How long a session lives, and what it is good for.

use docreader::accounts::{self, Role};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::common::{TestApp, pdf};
use crate::person::{PASSWORD, Person, add_user, audited, location, set_cookie};
use crate::world::upload;

#[tokio::test]
async fn a_changed_password_ends_all_other_sessions() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "otto", Role::Operator).await;
    let mut here = Person::logged_in(&server, "otto").await;
    let (elsewhere, before) = (Person::logged_in(&server, "otto").await, here.clone());
    let new = "seven purple elephants";
    let change = |old: &'static str, new: &'static str, again: &'static str| {
        [("old_password", old), ("new_password", new), ("new_password_again", again)]
    };
    for (fields, complaint) in [
        (change("wrong", new, new), "This is not your password."),
        (change(PASSWORD, new, "another"), "The two new passwords differ."),
        (change(PASSWORD, "otto1", "otto1"), "too short"),
        (change(PASSWORD, "password1", "password1"), "too common"),
        (change(PASSWORD, "12345678", "12345678"), "entirely numeric"),
    ] {
        let refused = here.post("/admin/account/", &fields).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{complaint}");
        assert!(refused.text().await.unwrap().contains(complaint), "{complaint}");
    }
    assert!(elsewhere.is_known().await);

    let changed = here.post("/admin/account/", &change(PASSWORD, new, new)).await;
    assert_eq!((changed.status(), location(&changed)), (StatusCode::SEE_OTHER, "/admin/account/"));
    here.keep(&changed);
    assert!(here.html("/admin/account/").await.contains("Your password is changed"));
    assert!(!here.html("/admin/account/").await.contains("Your password is changed"), "it is said twice");
    assert!(!elsewhere.is_known().await && !before.is_known().await);
    assert_eq!(Person::at(&server).log_in("otto", PASSWORD, &[]).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(Person::at(&server).log_in("otto", new, &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(audited(&app, "password.change").await, [("otto".into(), "otto".into())]);
    app.finish().await;
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let id = add_user(&app, "vera", Role::Viewer).await;
    let vera = Person::logged_in(&server, "vera").await;
    let mut db = app.pool.acquire().await.unwrap();
    assert!(accounts::set_disabled(&mut db, id, true).await.unwrap());
    assert!(!vera.is_known().await);
    assert_eq!(Person::at(&server).log_in("vera", PASSWORD, &[]).await.status(), StatusCode::UNAUTHORIZED);
    assert!(accounts::set_disabled(&mut db, id, false).await.unwrap());
    // The former session is not back.
    assert!(!vera.is_known().await);
    assert_eq!(Person::at(&server).log_in("vera", PASSWORD, &[]).await.status(), StatusCode::SEE_OTHER);
    drop(db);
    app.finish().await;
}

#[tokio::test]
async fn logging_in_again_changes_the_key() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "vera", Role::Viewer).await;
    let mut vera = Person::logged_in(&server, "vera").await;
    let before = vera.clone();
    assert_eq!(vera.log_in("vera", PASSWORD, &[]).await.status(), StatusCode::SEE_OTHER);
    assert_ne!(vera.cookie, before.cookie);
    assert!(vera.is_known().await && !before.is_known().await);
    app.finish().await;
}

#[tokio::test]
async fn a_session_that_is_over_or_made_up_is_none() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "vera", Role::Viewer).await;
    let mut vera = Person::logged_in(&server, "vera").await;
    // The database knows no keys.
    let (_, key) = vera.cookie.as_deref().unwrap().split_once('=').unwrap();
    let known: Vec<String> = sqlx::query_scalar("select s::text from sessions s").fetch_all(&app.pool).await.unwrap();
    assert!(known.iter().all(|row| key.len() > 64 && !row.contains(&key[key.len() - 64..])), "{known:?}");
    let mut forged = vera.clone();
    forged.cookie = vera.cookie.as_deref().map(|cookie| format!("{cookie}0"));
    assert!(vera.is_known().await && !forged.is_known().await);

    sqlx::raw_sql("update sessions set expires_at = now() - interval '1 s'").execute(&app.pool).await.unwrap();
    assert!(!vera.is_known().await);
    vera.log_in("vera", PASSWORD, &[]).await;
    assert_eq!(app.count("select count(*) from sessions").await, 1, "sessions that are over are removed at log-in");
    app.finish().await;
}

#[tokio::test]
async fn cookies_are_secure_behind_a_proxy_that_speaks_tls() {
    let app = TestApp::new().await;
    let server = app.serve(&[("TRUSTED_PROXIES", "1")]).await;
    add_user(&app, "vera", Role::Viewer).await;
    for (proto, secure) in [("https", true), ("http", false), ("https, http", false)] {
        let response = Person::at(&server).log_in("vera", PASSWORD, &[("X-Forwarded-Proto", proto)]).await;
        let cookie = set_cookie(&response).unwrap();
        assert_eq!(cookie.ends_with("; Secure"), secure, "{proto}: {cookie}");
    }
    drop(server);
    // Without a proxy, a client says what it likes.
    let server = app.serve(&[]).await;
    let response = Person::at(&server).log_in("vera", PASSWORD, &[("X-Forwarded-Proto", "https")]).await;
    assert!(!set_cookie(&response).unwrap().contains("Secure"));
    app.finish().await;
}

#[tokio::test]
async fn a_session_is_as_good_as_a_token_for_the_api() {
    let app = TestApp::new().await;
    let server = app.serve(&[("API_AUTH", "required")]).await;
    add_user(&app, "otto", Role::Operator).await;
    add_user(&app, "vera", Role::Viewer).await;
    let nobody = Person::at(&server);
    assert_eq!(nobody.get("/api/v1/documents").await.status(), StatusCode::UNAUTHORIZED);
    let (otto, vera) = (Person::logged_in(&server, "otto").await, Person::logged_in(&server, "vera").await);
    for person in [&otto, &vera] {
        assert_eq!(person.get("/api/v1/documents").await.status(), StatusCode::OK);
    }
    let body = serde_json::json!({"url": "http://192.0.2.1/a.pdf", "title": "By a session"});
    let create = |person: &Person| person.request(Method::POST, "/api/v1/documents").json(&body);
    let refused = create(&otto).send().await.unwrap();
    assert_eq!((refused.status(), code(refused).await), (StatusCode::FORBIDDEN, "csrf_failed".into()));
    let refused = create(&otto).header("X-CSRF-Token", &vera.csrf).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let refused = create(&otto).header("X-CSRF-Token", &otto.csrf).header("Origin", "https://example.org");
    assert_eq!(refused.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let refused = create(&vera).header("X-CSRF-Token", &vera.csrf).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(app.count("select count(*) from documents").await, 0);

    upload(&otto, "By a session", pdf::pages(1), "").await;
    assert_eq!(audited(&app, "document.create").await.len(), 1);
    assert_eq!(audited(&app, "document.create").await[0].0, "otto");
    let delete = otto.request(Method::DELETE, "/api/v1/documents/1").header("X-CSRF-Token", &otto.csrf);
    assert_eq!(delete.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    app.finish().await;
}

async fn code(response: reqwest::Response) -> String {
    response.json::<Value>().await.unwrap()["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_is_logged_in_is_told_when_the_database_fails() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "vera", Role::Viewer).await;
    let vera = Person::logged_in(&server, "vera").await;
    sqlx::query("alter table sessions rename to lost_sessions").execute(&app.pool).await.unwrap();
    let failed = vera.request(Method::GET, "/admin/documents/").send().await.unwrap();
    assert_eq!(
        (failed.status(), failed.headers()["retry-after"].as_bytes()),
        (StatusCode::SERVICE_UNAVAILABLE, &b"5"[..])
    );
    assert!(failed.text().await.unwrap().contains("Try again later."));
    sqlx::query("alter table lost_sessions rename to sessions").execute(&app.pool).await.unwrap();
    assert!(vera.is_known().await);
    app.finish().await;
}

//! Logging in and out, and what keeps others from it.

use docreader::accounts::{self, Role};
use reqwest::{Method, StatusCode};
use time::Duration;

use crate::common::TestApp;
use crate::person::{PASSWORD, Person, add_user, audited, location, set_cookie};

#[tokio::test]
async fn logging_in_goes_back_to_the_page_and_logging_out_ends_the_session() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "vera", Role::Viewer).await;
    let mut vera = Person::at(&server);
    assert!(!vera.is_known().await);
    let form = vera.html("/admin/login/?next=%2Fadmin%2Faccount%2F").await;
    assert!(form.contains(r#"name="next" value="/admin/account/""#), "{form}");

    let refused = vera.log_in("vera", "correct horse", &[]).await;
    assert_eq!((refused.status(), set_cookie(&refused)), (StatusCode::UNAUTHORIZED, None));
    assert!(refused.text().await.unwrap().contains("do not fit together"));
    let nobody = vera.log_in("nobody", PASSWORD, &[]).await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert!(nobody.text().await.unwrap().contains("do not fit together"));

    // Names are the same in any case.
    let welcome = vera.log_in("Vera", PASSWORD, &[]).await;
    assert_eq!((welcome.status(), location(&welcome)), (StatusCode::SEE_OTHER, "/admin/account/"));
    let cookie = set_cookie(&welcome).unwrap();
    let has = |attribute: &str| cookie.split("; ").any(|part| part == attribute);
    assert!(has("HttpOnly") && has("SameSite=Lax") && has("Path=/") && has("Max-Age=1209600"), "{cookie}");
    assert!(!has("Secure"), "{cookie}");
    vera.read_csrf().await;
    // Who is logged in needs no form.
    assert_eq!(location(&vera.get("/admin/login/?next=/admin/queue/").await), "/admin/queue/");

    let gone = vera.post("/admin/logout/", &[]).await;
    assert_eq!((gone.status(), location(&gone)), (StatusCode::SEE_OTHER, "/admin/logout/"));
    assert!(set_cookie(&gone).unwrap().contains("Max-Age=0"));
    // The key is worth nothing any more, whoever has kept it.
    assert!(!vera.is_known().await);

    let failed = audited(&app, "login.fail").await;
    assert_eq!(failed, [(String::new(), "vera".into()), (String::new(), "nobody".into())]);
    assert_eq!(audited(&app, "login").await, [("vera".into(), String::new())]);
    assert_eq!(audited(&app, "logout").await, [("vera".into(), String::new())]);
    assert_eq!(app.count("select count(*) from audit_log where address is distinct from '127.0.0.1'").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn nobody_is_sent_to_another_site() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "vera", Role::Viewer).await;
    for next in ["https://example.org/", "//example.org", "/\\example.org", "javascript:alert(1)", ""] {
        let vera = Person::at(&server);
        let form = [("username", "vera"), ("password", PASSWORD), ("next", next)];
        let response = vera.request(Method::POST, "/admin/login/").form(&form).send().await.unwrap();
        assert_eq!((response.status(), location(&response)), (StatusCode::SEE_OTHER, "/admin/documents/"), "{next}");
    }
    let vera = Person::logged_in(&server, "vera").await;
    let response = vera.get("/admin/login/?next=https%3A%2F%2Fexample.org").await;
    assert_eq!(location(&response), "/admin/documents/");
    app.finish().await;
}

#[tokio::test]
async fn who_guesses_a_password_has_to_wait() {
    let app = TestApp::new().await;
    let server = app.serve(&[("TRUSTED_PROXIES", "1")]).await;
    add_user(&app, "vera", Role::Viewer).await;
    add_user(&app, "otto", Role::Operator).await;
    let mut person = Person::at(&server);
    let guess = |n: usize| format!("guess number {n}");
    for n in 0..10 {
        let from = [("X-Forwarded-For", format!("192.0.2.{n}"))];
        let response = person.log_in("vera", &guess(n), &from.each_ref().map(|(k, v)| (*k, v.as_str()))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{n}");
    }
    // Wherever it comes from, and right or not.
    let refused = person.log_in("VERA", PASSWORD, &[("X-Forwarded-For", "192.0.2.99")]).await;
    assert_eq!((refused.status(), set_cookie(&refused)), (StatusCode::TOO_MANY_REQUESTS, None));
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=31).contains(&seconds), "{seconds}");
    let otto = person.log_in("otto", PASSWORD, &[("X-Forwarded-For", "192.0.2.99")]).await;
    assert_eq!(otto.status(), StatusCode::SEE_OTHER);
    app.finish().await;
}

#[tokio::test]
async fn who_guesses_names_has_to_wait() {
    let app = TestApp::new().await;
    let server = app.serve(&[("TRUSTED_PROXIES", "1")]).await;
    add_user(&app, "vera", Role::Viewer).await;
    let here = [("X-Forwarded-For", "192.0.2.1")];
    let (mut refused, mut person) = (None, Person::at(&server));
    // Thirty, and what comes back while this goes on.
    for n in 0..60 {
        let response = person.log_in(&format!("name-{n}"), "a guess", &here).await;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(n);
            break;
        }
    }
    assert!(refused.is_some_and(|n| n >= 30), "{refused:?}");
    let elsewhere = person.log_in("vera", PASSWORD, &[("X-Forwarded-For", "192.0.2.2")]).await;
    assert_eq!(elsewhere.status(), StatusCode::SEE_OTHER);
    app.finish().await;
}

#[tokio::test]
async fn a_link_logs_in_once() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let id = add_user(&app, "ada", Role::Admin).await;
    let link = accounts::create_login_link(&app.pool, id, Duration::hours(1)).await.unwrap();
    let old = accounts::create_login_link(&app.pool, id, Duration::seconds(-1)).await.unwrap();
    let mut ada = Person::at(&server);
    for bad in ["nonsense", &old] {
        let refused = ada.get(&format!("/admin/login/?token={bad}")).await;
        assert_eq!((refused.status(), set_cookie(&refused)), (StatusCode::UNAUTHORIZED, None), "{bad}");
    }
    let welcome = ada.get(&format!("/admin/login/?token={link}&next=/admin/account/")).await;
    assert_eq!((welcome.status(), location(&welcome)), (StatusCode::SEE_OTHER, "/admin/account/"));
    ada.keep(&welcome);
    assert!(ada.is_known().await);
    let again = Person::at(&server).get(&format!("/admin/login/?token={link}")).await;
    assert_eq!((again.status(), set_cookie(&again)), (StatusCode::UNAUTHORIZED, None));
    assert!(!server.log().contains(&link), "a token is in the log");
    app.finish().await;
}

#[tokio::test]
async fn what_is_at_no_path_is_a_page_for_people_and_json_for_programs() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let person = Person::at(&server);
    for path in ["/nothing", "/admin/nothing/"] {
        let page = person.get(path).await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8", "{path}");
        assert!(page.text().await.unwrap().contains("There is nothing here"), "{path}");
    }
    let client = reqwest::Client::new();
    for path in ["/nothing", "/"] {
        let json = client.get(format!("{}{path}", person.origin)).send().await.unwrap();
        assert_eq!(json.status(), StatusCode::NOT_FOUND);
        assert_eq!(json.json::<serde_json::Value>().await.unwrap(), serde_json::json!({"detail": "Not found."}));
    }
    let robots = person.get("/robots.txt").await;
    assert_eq!(robots.text().await.unwrap(), "User-agent: *\nDisallow: /\n");
    assert_eq!(location(&person.get("/favicon.ico").await), "/static/favicon.svg");
    app.finish().await;
}

#[tokio::test]
async fn pages_say_what_browsers_may_do_with_them() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    let person = Person::at(&server);
    let home = person.get("/").await;
    let header = |name: &str| home.headers()[name].to_str().unwrap().to_owned();
    let policy = header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("cache-control"), "private, no-store");
    let html = home.text().await.unwrap();
    assert!(!html.contains("<style") && !html.contains(" style=") && !html.contains("onclick"), "{html}");

    let (_, rest) = html.split_once("/static/app.css?v=").unwrap();
    let url = format!("/static/app.css?v={}", rest.split('"').next().unwrap());
    let css = person.get(&url).await;
    assert_eq!(css.headers()["cache-control"], "public, max-age=31536000, immutable");
    let etag = css.headers()["etag"].clone();
    let same = person.request(Method::GET, &url).header("If-None-Match", etag).send().await.unwrap();
    assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    let other = person.get("/static/app.css?v=0").await;
    assert_eq!(other.headers()["cache-control"], "no-cache");
    app.finish().await;
}

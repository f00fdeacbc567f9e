//! Who may do what: viewers look, operators change documents and the queue, admins see to users and tokens.

use reqwest::StatusCode;

use crate::person::{Person, audited};
use crate::world::{self, FAILED, WAITING};

/// What each page shows only to those who may use it.
const FORMS_OF_OPERATORS: [&str; 4] =
    ["/admin/documents/", "/admin/documents/1/", "/admin/documents/3/", "/admin/queue/"];
const PAGES_OF_ADMINS: [&str; 4] = ["/admin/users/", "/admin/tokens/", "/admin/audit/", "/admin/settings/"];
const CHANGES_BY_OPERATORS: [(&str, &[(&str, &str)]); 11] = [
    ("/admin/documents/bulk/", &[("action", "delete"), ("id", "1"), ("confirmed", "1")]),
    ("/admin/documents/bulk/", &[("action", "retry"), ("id", "2")]),
    ("/admin/documents/1/title/", &[("title", "Mine")]),
    ("/admin/documents/3/cancel/", &[]),
    ("/admin/documents/2/retry/", &[]),
    ("/admin/documents/1/reprocess/", &[]),
    ("/admin/documents/3/priority/", &[("priority", "5")]),
    ("/admin/documents/1/delete/", &[("confirmed", "1")]),
    ("/admin/queue/pause/", &[("queue", "documents")]),
    ("/admin/queue/resume/", &[("queue", "documents")]),
    ("/admin/upload/", &[("url", "http://192.0.2.1/a.pdf")]),
];
const CHANGES_BY_ADMINS: [(&str, &[(&str, &str)]); 6] = [
    ("/admin/users/", &[("username", "eve"), ("role", "admin"), ("password", "correct horse battery")]),
    ("/admin/users/1/role/", &[("role", "viewer")]),
    ("/admin/users/1/disable/", &[]),
    ("/admin/users/1/password/", &[("password", "correct horse battery")]),
    ("/admin/tokens/", &[("name", "mine"), ("scope", "write")]),
    ("/admin/tokens/1/revoke/", &[]),
];

/// Forms of a page that change something. Logging out is for everybody.
fn changes(html: &str) -> usize {
    let forms = html.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap());
    let sends = |form: &&str| form.contains(r#"method="post""#) && form.contains("<button");
    forms.filter(sends).filter(|form| !form.contains("/admin/logout/")).count()
}

#[tokio::test]
async fn viewers_look_and_operators_do_not_make_users() {
    let world = world::with_documents(&[]).await;
    let (vera, otto) = (Person::logged_in(&world.server, "vera").await, Person::logged_in(&world.server, "otto").await);
    let everything = "select md5(string_agg(d::text, '' order by d.id)) from documents d";
    let before: String = sqlx::query_scalar(everything).fetch_one(&world.app.pool).await.unwrap();
    for path in FORMS_OF_OPERATORS {
        let (seen, usable) = (vera.html(path).await, otto.html(path).await);
        assert_eq!((changes(&seen), changes(&usable) > 0), (0, true), "{path}");
    }
    assert_eq!(vera.get("/admin/upload/").await.status(), StatusCode::FORBIDDEN);
    for path in PAGES_OF_ADMINS {
        for person in [&vera, &otto] {
            assert_eq!(person.get(path).await.status(), StatusCode::FORBIDDEN, "{path}");
            assert!(!person.html("/admin/account/").await.contains(path), "{path} is in the menu");
        }
    }
    for (path, fields) in CHANGES_BY_OPERATORS {
        assert_eq!(vera.post(path, fields).await.status(), StatusCode::FORBIDDEN, "{path}");
    }
    for (path, fields) in CHANGES_BY_ADMINS {
        for person in [&vera, &otto] {
            assert_eq!(person.post(path, fields).await.status(), StatusCode::FORBIDDEN, "{path}");
        }
    }
    let after: String = sqlx::query_scalar(everything).fetch_one(&world.app.pool).await.unwrap();
    assert_eq!(before, after);
    assert_eq!(world.app.count("select count(*) from users").await, 3);
    let nobody = Person::at(&world.server);
    for (path, fields) in CHANGES_BY_OPERATORS.iter().chain(&CHANGES_BY_ADMINS) {
        assert_eq!(nobody.post(path, fields).await.status(), StatusCode::SEE_OTHER, "{path}");
    }
    world.finish().await;
}

#[tokio::test]
async fn what_people_change_is_in_the_audit_log() {
    let world = world::with_documents(&[]).await;
    let (otto, ada) = (Person::logged_in(&world.server, "otto").await, Person::logged_in(&world.server, "ada").await);
    let waiting = format!("/admin/documents/{WAITING}");
    for (person, path, fields) in [
        (&otto, format!("{waiting}/title/"), vec![("title", "Mine")]),
        (&otto, format!("{waiting}/priority/"), vec![("priority", "5")]),
        (&otto, format!("{waiting}/cancel/"), vec![]),
        (&otto, format!("/admin/documents/{FAILED}/delete/"), vec![("confirmed", "1")]),
        (&otto, "/admin/queue/pause/".into(), vec![("queue", "documents")]),
        (&otto, "/admin/queue/resume/".into(), vec![("queue", "documents")]),
        (
            &ada,
            "/admin/users/".into(),
            vec![("username", "eve"), ("role", "viewer"), ("password", "seven purple mice")],
        ),
        (&ada, "/admin/users/4/role/".into(), vec![("role", "operator")]),
        (&ada, "/admin/users/4/disable/".into(), vec![]),
        (&ada, "/admin/users/4/enable/".into(), vec![]),
        (&ada, "/admin/users/4/password/".into(), vec![("password", "eight purple mice")]),
        (&ada, "/admin/tokens/".into(), vec![("name", "scanner"), ("scope", "write")]),
        (&ada, "/admin/tokens/1/revoke/".into(), vec![]),
    ] {
        let status = person.post(&path, &fields).await.status();
        // A new token is shown at once, and never again.
        assert!([StatusCode::SEE_OTHER, StatusCode::OK, StatusCode::CREATED].contains(&status), "{path}: {status}");
    }
    for (action, who, detail) in [
        ("document.rename", "otto", "Mine"),
        ("document.prioritize", "otto", "5"),
        ("document.cancel", "otto", ""),
        ("document.delete", "otto", ""),
        ("queue.pause", "otto", "documents"),
        ("queue.resume", "otto", "documents"),
        ("user.create", "ada", "eve: viewer"),
        ("user.role", "ada", "eve: operator"),
        ("user.disable", "ada", "eve"),
        ("user.enable", "ada", "eve"),
        ("password.change", "ada", "eve"),
        ("token.create", "ada", "scanner"),
        ("token.revoke", "ada", "scanner"),
    ] {
        let found = audited(&world.app, action).await;
        assert_eq!(found.len(), 1, "{action}: {found:?}");
        assert!(found[0].0 == who && found[0].1.contains(detail), "{action}: {found:?}");
    }
    let page = ada.html("/admin/audit/").await;
    assert!(page.contains("Made a token: scanner") && page.contains("Disabled a user: eve"));
    assert!(!page.contains("purple mice"), "a password is in the audit log");
    let settings = ada.html("/admin/settings/").await;
    assert!(settings.contains("AWS_SECRET_ACCESS_KEY") && !settings.contains(">secret<"), "a secret is shown");
    world.finish().await;
}

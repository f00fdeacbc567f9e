//! `app createsuperuser` and `app user`.

use docreader::accounts::Role;
use reqwest::StatusCode;

use crate::common::TestApp;
use crate::person::{PASSWORD, Person, add_user, audited};

/// Runs a command to its end; whether it succeeds, and what it says.
async fn run(app: &TestApp, args: &[&str], settings: &[(&str, &str)]) -> (bool, String) {
    let mut command = app.start(args, settings);
    let status = command.exit().await;
    (status.success(), command.log())
}

#[tokio::test]
async fn createsuperuser_takes_what_djangos_deploy_scripts_give() {
    let app = TestApp::new().await;
    let environment = [
        ("DJANGO_SUPERUSER_USERNAME", "ada"),
        ("DJANGO_SUPERUSER_EMAIL", "ada@example.org"),
        ("DJANGO_SUPERUSER_PASSWORD", PASSWORD),
    ];
    let command = ["createsuperuser", "--noinput"];
    let (made, said) = run(&app, &command, &environment).await;
    assert!(made && said.contains("Superuser created successfully."), "{said}");
    let (again, said) = run(&app, &command, &environment).await;
    assert!(!again && said.contains("a user with this name already"), "{said}");
    let (nameless, said) = run(&app, &command, &environment[2..]).await;
    assert!(!nameless && said.contains("You must use --username with --noinput."), "{said}");
    let (open, said) = run(&app, &[&command[..], &["--username", "grace"]].concat(), &[]).await;
    assert!(!open && said.contains("DJANGO_SUPERUSER_PASSWORD is needed"), "{said}");
    let (asks, said) = run(&app, &["createsuperuser"], &environment).await;
    assert!(!asks && said.contains("no terminal to ask at"), "{said}");
    let bad = [&command[..], &["--username", "ada lovelace"]].concat();
    let (bad, said) = run(&app, &bad, &environment[2..]).await;
    assert!(!bad && said.contains("A username has"), "{said}");

    let (listed, said) = run(&app, &["user", "list"], &[]).await;
    assert!(listed && said.contains("ada@example.org") && said.contains("admin"), "{said}");
    assert!(!said.contains(PASSWORD) && !said.contains("argon2"), "{said}");
    let server = app.serve(&[]).await;
    Person::logged_in(&server, "ada").await;
    assert_eq!(audited(&app, "user.create").await.iter().map(|(_, about)| about).collect::<Vec<_>>(), ["ada: admin"]);
    app.finish().await;
}

#[tokio::test]
async fn users_get_roles_and_are_disabled_but_for_the_last_admin() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "ada", Role::Admin).await;
    add_user(&app, "vera", Role::Viewer).await;
    let vera = Person::logged_in(&server, "vera").await;
    for last in [["user", "disable", "ada"].as_slice(), &["user", "role", "ada", "viewer"]] {
        let (done, said) = run(&app, last, &[]).await;
        assert!(!done && said.contains("the only admin who may log in"), "{said}");
    }
    let (unknown, said) = run(&app, &["user", "role", "nobody", "admin"], &[]).await;
    assert!(!unknown && said.contains("there is no user"), "{said}");

    let (done, said) = run(&app, &["user", "role", "VERA", "admin"], &[]).await;
    assert!(done && said.contains("vera is admin now"), "{said}");
    // The session has the new role at once.
    assert!(vera.html("/admin/account/").await.contains("also manages users and tokens"));
    assert!(run(&app, &["user", "disable", "ada"], &[]).await.0);
    assert_eq!(Person::at(&server).log_in("ada", PASSWORD, &[]).await.status(), StatusCode::UNAUTHORIZED);
    assert!(run(&app, &["user", "disable", "ada", "--enable"], &[]).await.0);
    Person::logged_in(&server, "ada").await;
    for (action, about) in [("user.role", "vera: admin"), ("user.disable", "ada"), ("user.enable", "ada")] {
        assert_eq!(audited(&app, action).await.iter().map(|(_, about)| about).collect::<Vec<_>>(), [about]);
    }
    app.finish().await;
}

#[tokio::test]
async fn a_link_from_the_shell_logs_in() {
    let app = TestApp::new().await;
    let server = app.serve(&[]).await;
    add_user(&app, "vera", Role::Viewer).await;
    let mut vera = Person::at(&server);
    let (made, said) = run(&app, &["user", "link", "vera", "--url", &vera.origin], &[]).await;
    let link = said.lines().find_map(|line| line.trim().strip_prefix(&vera.origin)).unwrap_or_default().to_owned();
    assert!(made && link.starts_with("/admin/login/?"), "{said}");
    let welcome = vera.get(&link).await;
    assert_eq!(welcome.status(), StatusCode::SEE_OTHER);
    vera.keep(&welcome);
    assert!(vera.is_known().await);
    app.finish().await;
}

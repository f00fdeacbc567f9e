//! What people do with documents, in a browser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::json;
use thirtyfour::Key;

use crate::browser::Browser;
use crate::common::{pdf, sample};
use crate::person::{PASSWORD, Person, audited};
use crate::world::{self, manual, upload};

/// Drops files on the page as a person does from a folder.
async fn drop_files(browser: &Browser, files: &[(&str, Vec<u8>)]) {
    let files: Vec<_> = files.iter().map(|(name, bytes)| json!([name, STANDARD.encode(bytes)])).collect();
    let script = "const data = new DataTransfer();
        for (const [name, base64] of arguments[0]) {
            const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
            data.items.add(new File([bytes], name, {type: 'application/pdf'}));
        }
        const place = document.querySelector('[data-drop]');
        for (const kind of ['dragenter', 'dragover', 'drop']) {
            place.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: data}));
        }";
    browser.js_with::<serde_json::Value>(script, vec![json!(files)]).await;
}

/// Keeps every text that an element shows from now on in `window.seen`.
async fn watch(browser: &Browser, css: &str) {
    let script = "window.seen = [];
        const look = () => {
            const text = document.querySelector(arguments[0])?.innerText.replace(/\\s+/g, ' ');
            if (text && text !== window.seen.at(-1)) window.seen.push(text);
        };
        new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
        look()";
    browser.js_with::<serde_json::Value>(script, vec![json!(css)]).await;
}

#[tokio::test]
async fn dropped_files_are_followed_until_their_regions_are_seen() {
    let world = world::with_people().await;
    let browser = Browser::logged_in(&world.app, &world.server, "otto").await;
    browser.go("/admin/upload/").await;
    watch(&browser, ".upload-item").await;
    drop_files(&browser, &[("handbook.pdf", sample())]).await;
    browser.until("document.querySelector('.upload-item [data-badge]')?.textContent === 'Waiting'").await;
    let _worker = world.app.work(&[]);
    browser.until("document.querySelector('.upload-item [data-badge]')?.textContent === 'Done'").await;
    let seen: Vec<String> = browser.js("return window.seen").await;
    assert!(seen.iter().any(|text| text.contains("Processing")), "{seen:#?}");

    // Several, one of which is nothing to process.
    drop_files(&browser, &[("second.pdf", pdf::pages(2)), ("letter.pdf", b"Dear Sir".to_vec())]).await;
    browser.until("document.querySelectorAll('.upload-item').length === 3").await;
    let all = "[...document.querySelectorAll('.upload-item')]";
    let is_told = "e.innerText.includes('letter.pdf') && e.querySelector('[data-error]').checkVisibility()";
    browser.until(&format!("{all}.some((e) => {is_told})")).await;
    let is_done = "e.querySelector('[data-badge]').textContent === 'Done'";
    browser.until(&format!("{all}.filter((e) => {is_done}).length === 2")).await;
    browser.complaints().await;

    browser.click(".upload-item a[aria-label='Open handbook.pdf']").await;
    browser.at("/admin/documents/1/").await;
    assert_eq!(browser.text("h1").await, "handbook.pdf");
    browser.until("document.querySelectorAll('.regions .region rect').length > 0").await;
    browser.until("document.querySelector('.sheet img').naturalWidth > 0").await;
    let source: String = browser.js("return new URL(document.querySelector('.sheet img').src).pathname").await;
    assert!(source.starts_with("/results/"), "{source}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    assert_eq!(audited(&world.app, "document.create").await.len(), 3);
    world.finish().await;
}

#[tokio::test]
async fn the_viewer_shows_what_is_asked_for() {
    let world = world::with_people().await;
    let otto = Person::logged_in(&world.server, "otto").await;
    let _worker = world.app.work(&[]);
    let id = upload(&otto, "Manual", manual(), "1-2").await;
    world.is(id, "done").await;
    let browser = Browser::logged_in(&world.app, &world.server, "otto").await;
    browser.go(&format!("/admin/documents/{id}/")).await;
    let all = browser.count(".regions .region").await;
    assert!(all > 0);

    // Without the first class, its regions are gone from the picture and the list.
    let label: String = browser.js("return document.querySelector('[data-class]').dataset.class").await;
    let of_class = browser.count(&format!(".region-list li[data-label='{label}']")).await;
    browser.click("label:has(> [data-class])").await;
    browser.until("!document.querySelector('[data-class]').checked").await;
    assert_eq!(browser.count(".regions .region.is-off").await, of_class);
    assert_eq!(browser.count(".region-list li[hidden]").await, of_class);
    browser.click("label:has(> [data-class])").await;
    assert_eq!(browser.count(".regions .region.is-off").await, 0);

    // The slider, by the keyboard.
    browser.js::<serde_json::Value>("document.getElementById('score').focus()").await;
    browser.press(Key::End, 1).await;
    browser.until("document.querySelector('[data-score-text]').textContent === '100 %'").await;
    browser.press(Key::Left, 20).await;
    browser.until("document.querySelector('[data-score-text]').textContent === '80 %'").await;
    let weak =
        "return [...document.querySelectorAll('.region-list li')].filter((e) => Number(e.dataset.score) < 0.8).length";
    assert_eq!(browser.count(".regions .region.is-off").await, browser.js::<usize>(weak).await);
    browser.press(Key::Home, 1).await;
    browser.until("document.querySelectorAll('.regions .is-off').length === 0").await;

    // From region to region, and the crop of one.
    browser.js::<serde_json::Value>("document.getElementById('stage').focus()").await;
    browser.press(Key::Down, 1).await;
    browser.until("document.activeElement.matches('.region.is-selected')").await;
    browser.press(Key::Enter, 1).await;
    browser.until("document.querySelector('#crop[open]')").await;
    browser.press(Key::Escape, 1).await;
    browser.until("!document.querySelector('#crop[open]')").await;

    // The next page comes without the page being loaded anew.
    browser.js::<serde_json::Value>("window.isSame = true").await;
    browser.click("#next").await;
    browser.at(&format!("/admin/documents/{id}/?page=2")).await;
    browser.until("document.getElementById('shown').dataset.number === '2' && window.isSame").await;

    browser.click(".rename summary").await;
    browser.fill("#title", "A better title").await;
    browser.click(".rename button[type=submit]").await;
    browser.until("document.querySelector('h1').textContent === 'A better title'").await;
    assert_eq!(audited(&world.app, "document.rename").await, [("otto".into(), "A better title".into())]);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    world.finish().await;
}

#[tokio::test]
async fn the_list_follows_cancels_retries_and_deletes() {
    let world = world::with_people().await;
    let otto = Person::logged_in(&world.server, "otto").await;
    for title in ["first", "second", "third"] {
        upload(&otto, title, pdf::pages(3), "").await;
    }
    let browser = Browser::logged_in(&world.app, &world.server, "otto").await;
    browser.go("/admin/documents/1/").await;
    browser.click("#actions form[action$='/cancel/'] button").await;
    browser.until("document.querySelector('#state [data-status]').textContent === 'Canceled'").await;
    assert_eq!(world.app.state(1).await.status, "canceled");
    browser.click("#actions form[action$='/retry/'] button").await;
    browser.until("document.querySelector('#state [data-status]').textContent === 'Waiting'").await;
    assert_eq!(world.app.state(1).await.status, "pending");

    browser.go("/admin/documents/").await;
    assert_eq!(browser.count("tr[data-id]").await, 3);
    browser.js::<serde_json::Value>("window.isSame = true").await;
    let mut worker = world.app.work(&[]);
    browser.until("document.querySelectorAll('tr[data-id] .badge-done').length === 3 && window.isSame").await;
    worker.signal(Signal::SIGTERM);
    worker.exit().await;

    // Asked twice, since what is deleted is gone.
    for title in ["second", "third"] {
        let id = if title == "second" { 2 } else { 3 };
        browser.click(&format!("#document-{id} input[name=id]")).await;
    }
    browser.click("button[name=action][value=delete]").await;
    browser.at("/admin/documents/bulk/").await;
    let listed: Vec<String> =
        browser.js("return [...document.querySelectorAll('.confirm-list a')].map((e) => e.textContent).sort()").await;
    assert_eq!(listed, ["second", "third"]);
    assert_eq!(world.app.count("select count(*) from documents").await, 3);
    browser.click(".actions a.btn").await;
    browser
        .until("location.pathname === '/admin/documents/' && document.querySelectorAll('tr[data-id]').length === 3")
        .await;

    browser.click("[data-select-all]").await;
    browser.click("#document-1 input[name=id]").await;
    browser.click("button[name=action][value=delete]").await;
    browser.at("/admin/documents/bulk/").await;
    browser.click(".actions button.btn-danger").await;
    browser
        .until("location.pathname === '/admin/documents/' && document.querySelectorAll('tr[data-id]').length === 1")
        .await;
    assert!(browser.text(".notice-success").await.contains("2 documents"));
    assert_eq!(world.app.count("select count(*) from documents").await, 1);

    // The search narrows the list while one types.
    browser.fill("[data-search]", "nothing like it").await;
    browser.until("document.querySelector('.empty')?.innerText.includes('No document matches')").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    for (action, times) in [("document.cancel", 1), ("document.retry", 1), ("document.delete", 2)] {
        assert_eq!(audited(&world.app, action).await.len(), times, "{action}");
    }
    world.finish().await;
}

#[tokio::test]
async fn people_come_and_go() {
    let world = world::with_people().await;
    let browser = Browser::start(&world.app, &world.server).await;
    browser.go("/admin/queue/").await;
    browser.at("/admin/login/?next=%2Fadmin%2Fqueue%2F").await;
    browser.fill("#username", "ada").await;
    browser.fill("#password", "a wrong guess").await;
    browser.click("main button[type=submit]").await;
    assert!(browser.text("[role=alert]").await.contains("do not fit together"));
    let kept: String = browser.js("return document.getElementById('username').value").await;
    assert_eq!(kept, "ada");
    // The focus is where one goes on.
    browser.js::<serde_json::Value>("if (document.activeElement.id !== 'password') throw Error('no focus')").await;
    browser.fill("#password", PASSWORD).await;
    browser.press(Key::Enter, 1).await;
    browser.at("/admin/queue/").await;

    // What ada has done is told.
    browser.go("/admin/audit/").await;
    let told = browser.text("main").await;
    assert!(told.contains("Failed to log in: ada") && told.contains("Logged in"), "{told}");
    browser.click(".nav-account summary").await;
    browser.click(".nav-account form[action='/admin/logout/'] button").await;
    browser.at("/admin/logout/").await;
    browser.go("/admin/documents/").await;
    browser.at("/admin/login/?next=%2Fadmin%2Fdocuments%2F").await;

    for _ in 0..10 {
        browser.log_in("otto", "a guess", "/admin/account/").await;
        browser.find("[role=alert]").await;
    }
    browser.log_in("otto", PASSWORD, "/admin/account/").await;
    browser.until("document.querySelector('h1').textContent === 'Too many attempts'").await;
    world.finish().await;
}

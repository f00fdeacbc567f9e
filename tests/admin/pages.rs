//! What holds for every page.

use serde_json::{Value, json};
use thirtyfour::Key;

use crate::browser::{Browser, DESK, PHONE, Scheme};
use crate::person::PASSWORD;
use crate::views::{INSIDE, OUTSIDE, View};
use crate::world::{self, World};

const AXE: &str = include_str!("axe.min.js");

/// Opens every page, those for outsiders first, and collects what is wrong with it.
async fn on_every_page(world: &World, wrong: impl AsyncFn(&Browser, &View) -> Vec<String>) {
    let browser = Browser::start(&world.app, &world.server).await;
    let mut all = vec![];
    for view in OUTSIDE {
        all.extend(wrong(&browser, view).await.into_iter().map(|what| format!("{}: {what}", view.name)));
    }
    browser.log_in("ada", PASSWORD, "/admin/account/").await;
    browser.at("/admin/account/").await;
    for view in INSIDE {
        all.extend(wrong(&browser, view).await.into_iter().map(|what| format!("{}: {what}", view.name)));
    }
    assert!(all.is_empty(), "{} faults:\n{}", all.len(), all.join("\n"));
}

#[tokio::test]
async fn axe_finds_nothing_serious() {
    let world = world::with_documents(&[]).await;
    on_every_page(&world, async |browser, view| {
        let mut faults = vec![];
        for (size, scheme) in [(DESK, Scheme::Light), (DESK, Scheme::Dark), (PHONE, Scheme::Light)] {
            browser.resize(size).await;
            browser.prefer(scheme).await;
            view.open(browser).await;
            let found = violations(browser).await.into_iter();
            faults.extend(found.map(|what| format!("{} px, {scheme:?}: {what}", size.0)));
        }
        faults
    })
    .await;
    world.finish().await;
}

/// What axe calls serious or critical.
async fn violations(browser: &Browser) -> Vec<String> {
    let look = "
        const done = arguments[arguments.length - 1];
        const tell = (v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).slice(0, 3).join('; ')}`;
        const isSerious = (v) => ['serious', 'critical'].includes(v.impact);
        axe.run(document, {resultTypes: ['violations']}).then(
            ({passes, violations}) =>
                done(passes.length === 0 ? ['axe looked at nothing'] : violations.filter(isSerious).map(tell)),
            (error) => done([String(error)]))";
    let script = format!("{AXE};{look}");
    browser.js_later(&script, vec![]).await
}

#[tokio::test]
async fn everything_fits_a_phone_is_reached_by_keys_and_comes_from_one_port() {
    let world = world::with_documents(&[]).await;
    on_every_page(&world, async |browser, view| {
        let mut faults = vec![];
        for (size, scheme) in [(PHONE, Scheme::Dark), (PHONE, Scheme::Light), (DESK, Scheme::Dark)] {
            browser.resize(size).await;
            browser.prefer(scheme).await;
            view.open(browser).await;
            faults.extend(overflow(browser, size.0).await);
            faults.extend(strange_addresses(browser).await);
            if scheme == Scheme::Dark {
                faults.extend(unreached(browser).await.into_iter().map(|what| format!("Tab misses {what}")));
            }
            let is_expected = |what: &String| view.is_error() && what.contains("404 (Not Found)");
            faults.extend(browser.complaints().await.into_iter().filter(|what| !is_expected(what)));
        }
        faults
    })
    .await;
    world.finish().await;
}

/// What sticks out at the right.
async fn overflow(browser: &Browser, width: u32) -> Vec<String> {
    let script = "const width = arguments[0];
        if (document.scrollingElement.scrollWidth <= width) return [];
        const out = [...document.body.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > width);
        return [`${document.scrollingElement.scrollWidth} px wide: ${out.slice(0, 5).map((e) =>
            `${e.tagName} .${e.getAttribute('class')} ${e.textContent.trim().slice(0, 30)}`).join('; ')}`]";
    browser.js_with(script, vec![json!(width)]).await
}

/// What the page has fetched from anywhere but the server's own port.
async fn strange_addresses(browser: &Browser) -> Vec<String> {
    let script = "return performance.getEntriesByType('resource').map((r) => r.name)
        .filter((url) => /^https?:/.test(url) && new URL(url).origin !== location.origin)";
    browser.js(script).await
}

/// What can have the focus and does not get it by Tab. Of radio buttons with one name, one has it, and the arrow keys go on.
async fn unreached(browser: &Browser) -> Vec<String> {
    let watch = "
        const all = [...document.querySelectorAll(
            'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]')];
        window.wanted = new Set(all.filter((e) => e.tabIndex >= 0 && !e.disabled
            && e.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true}) && !e.closest('[inert]')));
        document.addEventListener('focusin', (event) => {
            for (const e of window.wanted) {
                const group = e.type === 'radio' && event.target.type === 'radio' && e.name === event.target.name;
                if (e === event.target || group) window.wanted.delete(e);
            }
        });
        document.activeElement.blur();
        return window.wanted.size";
    let count: usize = browser.js(watch).await;
    browser.press(Key::Tab, count + 5).await;
    // Once around where it began in the middle.
    let left: usize = browser.js("return window.wanted.size").await;
    if left > 0 {
        browser.press(Key::Tab, count + 5).await;
    }
    let missed: Vec<Value> = browser
        .js("return [...window.wanted].filter((e) => e.isConnected).map((e) => e.outerHTML.slice(0, 150))")
        .await;
    missed.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_first_page_is_light() {
    let world = world::with_people().await;
    let browser = Browser::start(&world.app, &world.server).await;
    browser.go("/").await;
    let script =
        "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
        return all.map((r) => [r.name, r.decodedBodySize, r.transferSize])";
    browser.until("document.readyState === 'complete'").await;
    let parts: Vec<(String, u64, u64)> = browser.js(script).await;
    let unpacked: u64 = parts.iter().map(|(_, size, _)| size).sum();
    assert!(parts.len() >= 3 && unpacked > 1000 && unpacked < 150_000, "{unpacked} bytes: {parts:#?}");
    world.finish().await;
}

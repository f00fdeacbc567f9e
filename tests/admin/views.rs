//! Every page there is, as somebody comes to it.

use crate::browser::Browser;
use crate::world::{DONE, FAILED, WAITING};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub name: &'static str,
    pub path: &'static str,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Address,
    /// Deleting a document that is chosen in the list asks first.
    Deletion,
}

const fn view(name: &'static str, path: &'static str) -> View {
    View { name, path, way: Way::Address }
}

/// For who is not logged in.
pub const OUTSIDE: &[View] = &[
    view("front-door", "/"),
    view("login", "/admin/login/?next=%2Fadmin%2Fqueue%2F"),
    view("logged-out", "/admin/logout/"),
    view("not-found", "/nothing/"),
];

/// For an admin; the ids are those of `world`.
pub const INSIDE: &[View] = &[
    view("home", "/"),
    view("documents", "/admin/documents/"),
    view("no-match", "/admin/documents/?title=no+such+title"),
    View { name: "confirmation", path: "/admin/documents/bulk/", way: Way::Deletion },
    view("upload", "/admin/upload/"),
    view("document", "/admin/documents/1/"),
    view("document-failed", "/admin/documents/2/"),
    view("document-waiting", "/admin/documents/3/"),
    view("no-document", "/admin/documents/999/"),
    view("compare", "/admin/documents/1/compare/"),
    view("queue", "/admin/queue/"),
    view("models", "/admin/models/"),
    view("users", "/admin/users/"),
    view("tokens", "/admin/tokens/"),
    view("audit", "/admin/audit/"),
    view("settings", "/admin/settings/"),
    view("account", "/admin/account/"),
];
const _: () = assert!(DONE == 1 && FAILED == 2 && WAITING == 3);

impl View {
    /// Opens the page and waits until its pictures are there.
    pub async fn open(&self, browser: &Browser) {
        match self.way {
            Way::Address => browser.go(self.path).await,
            Way::Deletion => {
                browser.go("/admin/documents/").await;
                browser.click(&format!("input[name=id][value='{WAITING}']")).await;
                browser.click("button[name=action][value=delete]").await;
                browser.at(self.path).await;
            }
        }
        let ready = "document.readyState === 'complete' && document.documentElement.classList.contains('js')";
        browser.until(ready).await;
        let pictures =
            "[...document.images].every((i) => i.complete || (i.loading === 'lazy' && !i.checkVisibility()))";
        browser.until(pictures).await;
    }

    /// Whether the page is one of an error, of which a browser's log speaks too.
    pub fn is_error(&self) -> bool {
        matches!(self.name, "not-found" | "no-document")
    }
}

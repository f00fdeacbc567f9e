//! What this server runs with.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::assets::filters;
use super::error::Result;
use super::page::{self, Page};
use super::visitor::Visitor;
use crate::accounts::Role;
use crate::api::State;
use crate::config::{Setting, Source};

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    page: Page,
    groups: Vec<Group>,
}

struct Group {
    id: String,
    title: String,
    settings: Vec<Row>,
}

struct Row {
    name: String,
    what: String,
    value: String,
    is_secret: bool,
    is_set: bool,
    is_default: bool,
    source: &'static str,
    default_value: String,
}

impl Row {
    fn new(setting: &Setting) -> Self {
        Self {
            name: setting.name.clone(),
            what: setting.help.clone(),
            value: without_password(&setting.value),
            is_secret: setting.is_secret,
            is_set: setting.source != Source::Unset,
            is_default: matches!(setting.source, Source::Unset | Source::Default),
            // .env is read into the environment before.
            source: if setting.source == Source::Flag { "a flag" } else { "the environment or .env" },
            default_value: setting.default.clone(),
        }
    }
}

/// A URL's password is a secret, whatever the setting.
fn without_password(value: &str) -> String {
    let parts = value.split_once("://").and_then(|(scheme, rest)| {
        let (login, host) = rest.split_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{host}"))
    });
    parts.unwrap_or_else(|| value.to_owned())
}

pub async fn show(request: HttpRequest, visitor: Visitor, state: web::Data<State>) -> Result {
    visitor.needs(Role::Admin)?;
    let mut groups: Vec<Group> = vec![];
    for setting in &state.settings.listed {
        match groups.iter_mut().find(|group| group.title == setting.group) {
            Some(group) => group.settings.push(Row::new(setting)),
            None => groups.push(Group {
                id: setting.group.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
                title: setting.group.clone(),
                settings: vec![Row::new(setting)],
            }),
        }
    }
    page::show(&SettingsPage { page: Page::new(&request, "settings", "Settings"), groups })
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn passwords_are_masked() {
        assert_eq!(without_password("postgres://app:geheim@db/x"), "postgres://app:***@db/x");
        assert_eq!(without_password("postgres://db/x"), "postgres://db/x");
        assert_eq!(without_password("10.0.0.0/8"), "10.0.0.0/8");
    }
}

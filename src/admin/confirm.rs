//! A question before what cannot be undone.

use askama::Template;

use super::assets::filters;
use super::page::Page;
use crate::documents::Listed;

/// Documents that are named; of the others there is the number.
const NAMED: usize = 20;

#[derive(Template)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    page: Page,
    question: String,
    consequence: String,
    has_documents: bool,
    documents: Vec<Listed>,
    more: usize,
    /// Where the answer goes.
    action: String,
    /// What goes with it, beside `confirmed`.
    fields: Vec<Field>,
    confirm_label: String,
    danger: bool,
    cancel_url: String,
}

pub struct Field {
    pub name: &'static str,
    pub value: String,
}

/// What is asked.
pub struct Question {
    pub question: String,
    pub consequence: String,
    pub confirm_label: String,
    pub danger: bool,
}

impl ConfirmPage {
    pub fn new(page: Page, asked: Question, action: String, fields: Vec<Field>, cancel_url: String) -> Self {
        let Question { question, consequence, confirm_label, danger } = asked;
        let (has_documents, documents, more) = (false, vec![], 0);
        Self {
            page,
            question,
            consequence,
            has_documents,
            documents,
            more,
            action,
            fields,
            confirm_label,
            danger,
            cancel_url,
        }
    }

    /// Names what is concerned.
    pub fn of(mut self, mut documents: Vec<Listed>) -> Self {
        self.has_documents = !documents.is_empty();
        self.more = documents.len().saturating_sub(NAMED);
        documents.truncate(NAMED);
        self.documents = documents;
        self
    }
}

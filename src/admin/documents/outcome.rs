//! What became of a change, in a sentence.

use std::collections::BTreeSet;

use crate::admin::format::grouped;
use crate::documents::{Changed, Status};

/// What may be done to many documents at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Retry,
    Cancel,
    Reprocess,
    Delete,
}

/// How many documents were changed.
#[derive(Debug, Default)]
pub struct Outcome {
    changed: i64,
    /// Their status did not allow it.
    refused: i64,
    reasons: BTreeSet<&'static str>,
    missing: i64,
}

impl Verb {
    pub const ALL: [Self; 4] = [Self::Retry, Self::Cancel, Self::Reprocess, Self::Delete];

    /// In forms.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Reprocess => "reprocess",
            Self::Delete => "delete",
        }
    }

    fn participle(self) -> &'static str {
        match self {
            Self::Retry | Self::Reprocess => "queued again",
            Self::Cancel => "canceled",
            Self::Delete => "deleted",
        }
    }
}

/// A status as a reason: "since it …".
pub fn since(status: Status) -> &'static str {
    match status {
        Status::Pending => "waits already",
        Status::Processing => "runs",
        Status::Done => "is done",
        Status::Failed => "has failed",
        Status::Canceled => "is canceled",
    }
}

impl Outcome {
    pub fn add(&mut self, changed: Changed) {
        match changed {
            Changed::Yes => self.changed += 1,
            Changed::NoSuchDocument => self.missing += 1,
            Changed::Refused(status) => {
                self.refused += 1;
                self.reasons.insert(since(status));
            }
        }
    }

    /// `3 documents are queued again; 1 could not be, since it runs.`
    pub fn sentence(&self, verb: Verb) -> String {
        let are = |number: i64| if number == 1 { "is" } else { "are" };
        let mut sentence = match self.changed {
            0 => format!("No document is {}", verb.participle()),
            1 => format!("1 document is {}", verb.participle()),
            changed => format!("{} documents are {}", grouped(changed), verb.participle()),
        };
        if self.refused > 0 {
            let why = match (self.refused, self.reasons.first()) {
                (1, Some(reason)) => format!(", since it {reason}"),
                _ => " in their state".to_owned(),
            };
            sentence += &format!("; {} could not be{why}", grouped(self.refused));
        }
        if self.missing > 0 {
            sentence += &format!("; {} {} there no more", grouped(self.missing), are(self.missing));
        }
        sentence + "."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        let said = |verb, all: &[Changed]| {
            let mut outcome = Outcome::default();
            all.iter().for_each(|changed| outcome.add(changed.clone()));
            outcome.sentence(verb)
        };
        let runs = Changed::Refused(Status::Processing);
        for (verb, all, wanted) in [
            (Verb::Delete, vec![Changed::Yes], "1 document is deleted."),
            (
                Verb::Retry,
                vec![Changed::Yes, Changed::Yes, runs.clone()],
                "2 documents are queued again; 1 could not be, since it runs.",
            ),
            (
                Verb::Cancel,
                vec![Changed::Refused(Status::Done), Changed::Refused(Status::Failed)],
                "No document is canceled; 2 could not be in their state.",
            ),
            (Verb::Delete, vec![Changed::Yes, Changed::NoSuchDocument], "1 document is deleted; 1 is there no more."),
        ] {
            assert_eq!(said(verb, &all), wanted);
        }
    }
}

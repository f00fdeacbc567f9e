/// A document's title: trimmed, not blank, at most 200 characters, free of NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

/// The sentences are Django REST framework's, which the tutorial's clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TitleError {
    #[error("This field may not be blank.")]
    Blank,
    #[error("Ensure this field has no more than 200 characters.")]
    TooLong,
    #[error("Null characters are not allowed.")]
    Nul,
}

impl Title {
    pub const MAX_CHARS: usize = 200;

    /// All that is wrong with a text, if anything is.
    pub fn parse(text: &str) -> Result<Self, Vec<TitleError>> {
        let text = text.trim();
        if text.is_empty() {
            return Err(vec![TitleError::Blank]);
        }
        let checks =
            [(text.chars().count() > Self::MAX_CHARS, TitleError::TooLong), (text.contains('\0'), TitleError::Nul)];
        let errors: Vec<TitleError> = checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, e)| e).collect();
        if errors.is_empty() { Ok(Self(text.to_owned())) } else { Err(errors) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(Title::parse("  pad  ").unwrap().as_str(), "pad");
        assert_eq!(Title::parse(" \t"), Err(vec![TitleError::Blank]));
        assert!(Title::parse(&"ä".repeat(200)).is_ok());
        assert_eq!(Title::parse(&"ä".repeat(201)), Err(vec![TitleError::TooLong]));
        assert_eq!(Title::parse(&"\0a".repeat(101)), Err(vec![TitleError::TooLong, TitleError::Nul]));
    }
}

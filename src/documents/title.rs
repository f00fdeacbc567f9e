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

    pub fn parse(text: &str) -> Result<Self, TitleError> {
        let text = text.trim();
        match text.chars().count() {
            0 => Err(TitleError::Blank),
            _ if text.contains('\0') => Err(TitleError::Nul),
            n if n > Self::MAX_CHARS => Err(TitleError::TooLong),
            _ => Ok(Self(text.to_owned())),
        }
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
        assert_eq!(Title::parse(" \t"), Err(TitleError::Blank));
        assert!(Title::parse(&"ä".repeat(200)).is_ok());
        assert_eq!(Title::parse(&"ä".repeat(201)), Err(TitleError::TooLong));
        assert_eq!(Title::parse("a\0b"), Err(TitleError::Nul));
    }
}

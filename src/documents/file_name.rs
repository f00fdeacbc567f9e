/// A name that an uploaded file is stored under, as Django cleans it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// Nothing is left of the name: Django takes the part for absent.
    #[error("No file was submitted.")]
    Missing,
    #[error("Ensure this filename has at most 100 characters (it has {0}).")]
    TooLong(usize),
    #[error("Could not derive file name from '{0}'")]
    Underivable(String),
}

impl FileName {
    pub const MAX_CHARS: usize = 100;

    /// Takes the last part of what the client sent, HTML-unescaped, across `/` and `\`; spaces become `_`, and what is not a
    /// letter, a digit, `-`, `_` or `.` is dropped. Letters of every script stay. Follows `MultiPartParser.sanitize_file_name`,
    /// `UploadedFile.name`, DRF's `FileField` and `get_valid_filename`, in this order.
    pub fn parse(sent: &str) -> Result<Self, FileNameError> {
        let unescaped = html_escape::decode_html_entities(sent);
        let base = unescaped.rsplit(['/', '\\']).next().unwrap_or_default();
        let base: String = base.chars().filter(|c| !c.is_control()).collect();
        if matches!(base.as_str(), "" | "." | "..") {
            return Err(FileNameError::Missing);
        }
        let chars = base.chars().count();
        if chars > Self::MAX_CHARS {
            return Err(FileNameError::TooLong(chars.min(255)));
        }
        let cleaned: String = base
            .trim()
            .chars()
            .map(|c| if c == ' ' { '_' } else { c })
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
            .collect();
        match cleaned.as_str() {
            "" | "." | ".." => Err(FileNameError::Underivable(base)),
            _ => Ok(Self(cleaned)),
        }
    }

    /// For files that come without a usable name.
    pub fn fallback() -> Self {
        Self("document".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name with `_` and 7 random characters before its extension, cut to the maximum length.
    pub fn alternative(&self) -> Self {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let random = uuid::Uuid::new_v4();
        // Bytes 8 to 15 hold two fixed bits; the first seven are random throughout, but for the version in byte 6.
        let bytes = random.as_bytes()[..6].iter().chain(&random.as_bytes()[15..]);
        let suffix: String = bytes.map(|b| char::from(LETTERS[usize::from(*b) % LETTERS.len()])).collect();
        self.with_suffix(&suffix)
    }

    fn with_suffix(&self, suffix: &str) -> Self {
        let (stem, extension) = match self.0.rfind('.') {
            Some(dot) if dot > 0 => self.0.split_at(dot),
            _ => (self.0.as_str(), ""),
        };
        let room = Self::MAX_CHARS.saturating_sub(suffix.chars().count() + 1 + extension.chars().count());
        let stem: String = stem.chars().take(room).collect();
        Self(format!("{stem}_{suffix}{extension}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaned_as_django_does() {
        for (sent, want) in [
            ("a.pdf", "a.pdf"),
            ("my file #1+%.pdf", "my_file_1.pdf"),
            ("Ünï çödé (1) ąж.pdf", "Ünï_çödé_1_ąж.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\docs\\x.pdf", "x.pdf"),
            ("a&amp;b&#47;c.pdf", "c.pdf"),
            (" a\u{7}b .pdf ", "ab_.pdf"),
        ] {
            assert_eq!(FileName::parse(sent).unwrap().as_str(), want);
        }
        for sent in ["", "..", "a/.."] {
            assert_eq!(FileName::parse(sent), Err(FileNameError::Missing), "{sent}");
        }
        assert_eq!(FileName::parse("#+%"), Err(FileNameError::Underivable("#+%".into())));
        assert_eq!(FileName::parse(&"n".repeat(101)), Err(FileNameError::TooLong(101)));
        assert_eq!(FileName::parse(&"n".repeat(999)), Err(FileNameError::TooLong(255)));
    }

    #[test]
    fn suffixed_within_the_limit() {
        let name = |s: &str| FileName::parse(s).unwrap().with_suffix("yaKIvrz").as_str().to_owned();
        assert_eq!(name("a.pdf"), "a_yaKIvrz.pdf");
        assert_eq!(name("passwd"), "passwd_yaKIvrz");
        assert_eq!(name(&format!("{}.pdf", "n".repeat(96))).chars().count(), 100);
        let alternative = FileName::parse("a.pdf").unwrap().alternative();
        assert_eq!(alternative.as_str().len(), "a_yaKIvrz.pdf".len());
        assert_ne!(alternative, FileName::parse("a.pdf").unwrap().alternative());
    }
}

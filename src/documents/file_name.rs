/// A name that an uploaded file is stored under, as Django's storages would clean it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// Nothing is left of the name.
    #[error("No file was submitted.")]
    Missing,
    #[error("Ensure this filename has at most 100 characters (it has {0}).")]
    TooLong(usize),
}

impl FileName {
    pub const MAX_CHARS: usize = 100;

    /// Takes the last part of what the client sent, across `/` and `\`; spaces become `_`, and what is not a letter, a digit,
    /// `-`, `_` or `.` is dropped. Letters of every script stay.
    pub fn parse(sent: &str) -> Result<Self, FileNameError> {
        let base = sent.rsplit(['/', '\\']).next().unwrap_or_default().trim();
        if matches!(base, "" | "." | "..") {
            return Err(FileNameError::Missing);
        }
        let chars = base.chars().count();
        if chars > Self::MAX_CHARS {
            return Err(FileNameError::TooLong(chars));
        }
        let cleaned: String = base
            .chars()
            .map(|c| if c == ' ' { '_' } else { c })
            .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
            .collect();
        match cleaned.as_str() {
            "" | "." | ".." => Err(FileNameError::Missing),
            _ => Ok(Self(cleaned)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name with `_suffix` before its extension, cut to the maximum length.
    pub fn with_suffix(&self, suffix: &str) -> Self {
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
        ] {
            assert_eq!(FileName::parse(sent).unwrap().as_str(), want);
        }
        for sent in ["", "..", "a/..", "#+%"] {
            assert_eq!(FileName::parse(sent), Err(FileNameError::Missing), "{sent}");
        }
        assert_eq!(FileName::parse(&"n".repeat(101)), Err(FileNameError::TooLong(101)));
    }

    #[test]
    fn suffixed_within_the_limit() {
        let name = |s: &str| FileName::parse(s).unwrap().with_suffix("yaKIvrz").as_str().to_owned();
        assert_eq!(name("a.pdf"), "a_yaKIvrz.pdf");
        assert_eq!(name("passwd"), "passwd_yaKIvrz");
        assert_eq!(name(&format!("{}.pdf", "n".repeat(96))).chars().count(), 100);
    }
}

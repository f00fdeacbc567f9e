use crate::storage::ObjectKey;

/// Bytes at a file's beginning that tell what it is.
pub const START: u64 = 16;

/// What a browser may take a file for: what its bytes or we say, never what a client called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Pdf,
    Image(&'static str),
    Other,
}

impl Kind {
    pub fn of(start: &[u8]) -> Self {
        match start {
            [b'%', b'P', b'D', b'F', b'-', ..] => Self::Pdf,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Self::Image("image/png"),
            [0xff, 0xd8, 0xff, ..] => Self::Image("image/jpeg"),
            [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => Self::Image("image/tiff"),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Image("image/webp"),
            [b'B', b'M', ..] => Self::Image("image/bmp"),
            _ => Self::Other,
        }
    }

    /// Of what a worker wrote, whose names are ours.
    pub fn of_result(key: &ObjectKey) -> Self {
        match key.as_str().rsplit_once('.') {
            Some((_, "png")) => Self::Image("image/png"),
            Some((_, "jpg")) => Self::Image("image/jpeg"),
            _ => Self::Other,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Image(name) => name,
            Self::Other => "application/octet-stream",
        }
    }

    /// What is neither a PDF nor an image is saved, not shown.
    pub fn disposition(self, key: &ObjectKey) -> String {
        let how = if self == Self::Other { "attachment" } else { "inline" };
        let name = key.as_str().rsplit('/').next().unwrap_or_default();
        let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        format!("{how}; filename*=UTF-8''{name}")
    }

    /// Nothing that a file holds runs or is fetched. Browsers show no PDF in a sandbox, and theirs has no access to this site.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Pdf => "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'",
            _ => "sandbox; default-src 'none'",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_tell_what_a_file_is() {
        for (start, wanted) in [
            (&b"%PDF-1.7\n"[..], "application/pdf"),
            (b"\x89PNG\r\n\x1a\n", "image/png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"II*\0....", "image/tiff"),
            (b"MM\0*....", "image/tiff"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
            (b"BM", "image/bmp"),
            (b"<html>%PDF-", "application/octet-stream"),
            (b"<svg xmlns=", "application/octet-stream"),
            (b"RIFF\0\0\0\0WAVE", "application/octet-stream"),
            (b"", "application/octet-stream"),
        ] {
            assert_eq!(Kind::of(start).content_type(), wanted, "{start:?}");
        }
    }

    #[test]
    fn names_of_ours_tell_what_results_are() {
        for (name, wanted) in [
            ("page.png", "image/png"),
            ("crops/0-table.png", "image/png"),
            ("thumbnail.jpg", "image/jpeg"),
            ("page.svg", "application/octet-stream"),
            ("png", "application/octet-stream"),
        ] {
            let key = ObjectKey::parse(format!("results/1/m/page-1/{name}")).unwrap();
            assert_eq!(Kind::of_result(&key).content_type(), wanted, "{name}");
        }
    }
}

use super::protocol::Failure;

/// Why a PDF or one of its pages could not be rendered, in a sentence that the person who uploaded it understands.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("The file is empty (0 bytes).")]
    Empty,
    #[error("The file is not a PDF: it has no %PDF- header, nor is it a PNG, JPEG, TIFF, WebP or BMP image.")]
    NotPdf,
    #[error("The PDF is protected by a password, so its pages cannot be read.")]
    Encrypted,
    #[error("The file is damaged or incomplete and cannot be opened.")]
    Damaged,
    #[error("The PDF has no pages.")]
    NoPages,
    #[error("The PDF has {pages} pages, more than the limit of {limit} (MAX_PAGES).")]
    TooManyPages { pages: u32, limit: u32 },
    #[error(
        "Page {page} is {width_pt:.0} × {height_pt:.0} pt, which makes {megapixels} megapixels; the limit is {limit} (RENDER_MAX_MEGAPIXELS)."
    )]
    PageTooLarge { page: u32, width_pt: f32, height_pt: f32, megapixels: u64, limit: u64 },
    #[error("Page {page} is damaged and cannot be rendered ({reason}).")]
    PageDamaged { page: u32, reason: String },
    #[error("{what} took longer than the limit of {seconds} s (RENDER_TIMEOUT_SECONDS).")]
    Timeout { what: String, seconds: u64 },
    #[error("{what} made the renderer crash ({how}); the file may be malicious or need more than RENDER_MEMORY_MB.")]
    Crashed { what: String, how: String },
    /// The machine's fault, not the document's: worth trying again.
    #[error("The renderer cannot run: {0}")]
    Setup(String),
}

impl RenderError {
    /// Whether another attempt with the same file would end the same way.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Setup(_))
    }

    /// Whether it is the fault of one page, so that others may succeed.
    pub fn is_of_page(&self) -> bool {
        matches!(
            self,
            Self::PageTooLarge { .. } | Self::PageDamaged { .. } | Self::Timeout { .. } | Self::Crashed { .. }
        )
    }

    /// Whether the child that rendered is gone.
    pub fn ends_child(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Crashed { .. } | Self::Setup(_))
    }

    /// A stable name of the kind of error, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_file",
            Self::NotPdf => "not_a_pdf",
            Self::Encrypted => "encrypted",
            Self::Damaged => "damaged",
            Self::NoPages => "no_pages",
            Self::TooManyPages { .. } => "too_many_pages",
            Self::PageTooLarge { .. } => "page_too_large",
            Self::PageDamaged { .. } => "page_damaged",
            Self::Timeout { .. } => "render_timeout",
            Self::Crashed { .. } => "render_crash",
            Self::Setup(_) => "renderer_unavailable",
        }
    }

    /// `page` counts from 1.
    pub(super) fn from_child(failure: Failure, page: u32) -> Self {
        match failure {
            Failure::Encrypted => Self::Encrypted,
            Failure::Damaged => Self::Damaged,
            Failure::NoPages => Self::NoPages,
            Failure::PageTooLarge { width_pt, height_pt, megapixels, limit } => {
                Self::PageTooLarge { page, width_pt, height_pt, megapixels, limit }
            }
            Failure::PageDamaged { reason } => Self::PageDamaged { page, reason },
            Failure::Setup { reason } => Self::Setup(reason),
        }
    }
}

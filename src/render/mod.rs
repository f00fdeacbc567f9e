//! PDF pages to bitmaps, in a child process.
//!
//! pdfium is a large C++ library and the files come from strangers, so it never runs inside the server or the worker: a child
//! with limits on memory, CPU time and pixels renders, and whatever becomes of it, the parent lives and can say why.
//! This module knows nothing of documents, queues or storage.

mod child;
mod error;
mod parent;
mod protocol;

pub use child::{ChildArgs, run_child};
pub use error::RenderError;
pub use parent::{Limits, PageImage, PdfDocument, Renderer, find_pdfium};

//! The parent's side: starts the child, asks for pages, and turns its end into a sentence.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use image::RgbImage;
use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::error::RenderError;
use super::protocol::{Failure, PageSize, Reply, Request};

/// A reply's JSON is some hundred bytes; more means that the child is out of its mind.
const MAX_REPLY: u32 = 64 << 10;

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub max_pages: u32,
    /// Pixels of one page.
    pub page_pixels: u64,
    /// CPU time for one page, and for opening the file; three times this on the wall clock.
    pub page_time: Duration,
    /// Address space of the child, in bytes.
    pub memory: u64,
}

/// Starts children: `program render-child …`.
#[derive(Debug, Clone)]
pub struct Renderer {
    program: PathBuf,
    pdfium: Option<PathBuf>,
    limits: Limits,
}

/// A rendered page.
#[derive(Debug)]
pub struct PageImage {
    pub image: RgbImage,
    /// PDF points.
    pub width_pt: f32,
    pub height_pt: f32,
}

/// A PDF that a child has opened. Dropping it kills the child.
pub struct PdfDocument {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    limits: Limits,
    pages: u32,
}

impl Renderer {
    /// `program` is the `app` binary, `pdfium` the path of `libpdfium.so`; without it only images can be opened.
    pub fn new(program: PathBuf, pdfium: Option<PathBuf>, limits: Limits) -> Self {
        Self { program, pdfium, limits }
    }

    /// Opens a PDF, or an image, of which this machine holds a copy at `pdf`.
    pub async fn open(&self, pdf: &Path) -> Result<PdfDocument, RenderError> {
        check_header(pdf).await?;
        let mut child = Command::new(&self.program)
            .arg("render-child")
            .arg(pdf)
            .args(self.pdfium.iter().flat_map(|p| ["--pdfium".as_ref(), p.as_os_str()]))
            .args(["--memory", &self.limits.memory.to_string()])
            .args(["--pixels", &self.limits.page_pixels.to_string()])
            .args(["--seconds", &self.limits.page_time.as_secs().max(1).to_string()])
            // A stranger's file meets no secret of ours.
            .env_clear()
            // Signals to our process group, such as Ctrl-C in a terminal, are ours to handle.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| RenderError::Setup(format!("{}: {e}", self.program.display())))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(RenderError::Setup("no pipes to the child".into()));
        };
        let stdout = BufReader::with_capacity(1 << 16, stdout);
        let mut document = PdfDocument { child, stdin, stdout, limits: self.limits, pages: 0 };
        document.pages = document
            .bounded("Opening the PDF", 1, async |d| match d.reply().await? {
                Reply::Opened { pages } => Ok(pages),
                _ => Err(Ended::Broken),
            })
            .await?;
        if document.pages > self.limits.max_pages {
            return Err(RenderError::TooManyPages { pages: document.pages, limit: self.limits.max_pages });
        }
        Ok(document)
    }
}

impl PdfDocument {
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// Renders page `number` (from 1) at `zoom` pixels per point.
    pub async fn render(&mut self, number: u32, zoom: f32) -> Result<PageImage, RenderError> {
        let page = async |d: &mut Self| {
            let mut line = serde_json::to_vec(&Request { page: number - 1, zoom })?;
            line.push(b'\n');
            d.stdin.write_all(&line).await?;
            let Reply::Page(size) = d.reply().await? else { return Err(Ended::Broken) };
            let image = d.pixels(&size).await?;
            Ok(PageImage { image, width_pt: size.width_pt, height_pt: size.height_pt })
        };
        self.bounded(&format!("Page {number}"), number, page).await
    }

    async fn reply(&mut self) -> Result<Reply, Ended> {
        let len = self.stdout.read_u32_le().await?;
        if len > MAX_REPLY {
            return Err(Ended::Broken);
        }
        let mut json = vec![0; len as usize];
        self.stdout.read_exact(&mut json).await?;
        match serde_json::from_slice(&json)? {
            Reply::Failed(failure) => Err(Ended::Failed(failure)),
            reply => Ok(reply),
        }
    }

    async fn pixels(&mut self, size: &PageSize) -> Result<RgbImage, Ended> {
        if u64::from(size.width_px) * u64::from(size.height_px) > self.limits.page_pixels {
            return Err(Ended::Broken);
        }
        let mut image = RgbImage::new(size.width_px, size.height_px);
        self.stdout.read_exact(&mut image).await?;
        Ok(image)
    }

    /// Runs an exchange with the child within the time limit; a reply of failure, the child's death and a time-out become errors.
    async fn bounded<T>(
        &mut self,
        what: &str,
        page: u32,
        exchange: impl AsyncFnOnce(&mut Self) -> Result<T, Ended>,
    ) -> Result<T, RenderError> {
        // The child's own limit on CPU time judges the document. On a machine that is too busy to give it that time, the wall
        // clock runs out at three times the limit, and the page counts as too slow all the same.
        let time = self.limits.page_time * 3 + Duration::from_secs(2);
        match tokio::time::timeout(time, exchange(self)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Ended::Failed(failure))) => Err(RenderError::from_child(failure, page)),
            Ok(Err(Ended::Broken)) => Err(self.post_mortem(what).await),
            Err(_elapsed) => {
                let _ = self.child.start_kill();
                Err(self.timed_out(what))
            }
        }
    }

    fn timed_out(&self, what: &str) -> RenderError {
        RenderError::Timeout { what: what.to_owned(), seconds: self.limits.page_time.as_secs() }
    }

    /// Why the child is gone.
    async fn post_mortem(&mut self, what: &str) -> RenderError {
        let Ok(Ok(status)) = tokio::time::timeout(Duration::from_secs(2), self.child.wait()).await else {
            let _ = self.child.start_kill();
            return RenderError::Setup("the child makes no sense".into());
        };
        match status.signal().map(Signal::try_from) {
            Some(Ok(Signal::SIGXCPU)) => self.timed_out(what),
            Some(Ok(signal)) if DEADLY.contains(&signal) => {
                RenderError::Crashed { what: what.to_owned(), how: signal.to_string() }
            }
            // Ended from outside, by the out-of-memory killer or an operator, or by a fault of ours.
            _ => RenderError::Setup(format!("the child ended with {status}")),
        }
    }
}

/// Signals that a process brings on itself.
const DEADLY: [Signal; 7] =
    [Signal::SIGSEGV, Signal::SIGABRT, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGTRAP, Signal::SIGSYS];

/// How an exchange with the child may end early.
enum Ended {
    /// The child is gone, or makes no sense.
    Broken,
    /// The child says what is wrong.
    Failed(Failure),
}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self::Broken
    }
}

impl From<serde_json::Error> for Ended {
    fn from(_: serde_json::Error) -> Self {
        Self::Broken
    }
}

/// What can be told without pdfium. Readers allow some bytes before the header, and so does this.
async fn check_header(pdf: &Path) -> Result<(), RenderError> {
    let setup = |e: std::io::Error| RenderError::Setup(format!("{}: {e}", pdf.display()));
    let mut head = vec![];
    tokio::fs::File::open(pdf).await.map_err(setup)?.take(1024 + 5).read_to_end(&mut head).await.map_err(setup)?;
    if head.is_empty() {
        return Err(RenderError::Empty);
    }
    if image::guess_format(&head).is_err() && !head.windows(5).any(|w| w == b"%PDF-") {
        return Err(RenderError::NotPdf);
    }
    Ok(())
}

/// Looks for `libpdfium.so`: the setting, beside the program (also in `lib` there or up to two levels up), `./lib`, the system.
pub fn find_pdfium(setting: Option<&Path>) -> Result<PathBuf, RenderError> {
    const NAME: &str = "libpdfium.so";
    if let Some(path) = setting {
        return match path.is_file() {
            true => Ok(path.to_owned()),
            false => Err(RenderError::Setup(format!("PDFIUM_LIB={} is not a file", path.display()))),
        };
    }
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("."));
    let candidates = [
        folder.into(),
        folder.join("lib"),
        folder.join("../lib"),
        folder.join("../../lib"),
        "lib".into(),
        "/usr/local/lib".into(),
        "/usr/lib".into(),
    ];
    let found = candidates.iter().map(|d: &PathBuf| d.join(NAME)).find(|p| p.is_file());
    let found = found.and_then(|p| p.canonicalize().ok());
    found.ok_or_else(|| {
        RenderError::Setup(format!("{NAME} not found; run scripts/install-pdfium.sh, or set PDFIUM_LIB to its path"))
    })
}

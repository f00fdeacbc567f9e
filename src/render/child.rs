//! The child's side: limits first, then the document, then one page a request until the parent closes the pipe.

use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use image::ImageDecoder;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::{SigHandler, Signal};
use pdfium_render::prelude::*;

use super::protocol::{Failure, PageSize, Reply, Request};

#[derive(Debug, clap::Args)]
pub struct ChildArgs {
    pub pdf: PathBuf,
    /// Path of libpdfium.so; images need none.
    #[arg(long)]
    pub pdfium: Option<PathBuf>,
    /// Address space, in bytes.
    #[arg(long)]
    pub memory: u64,
    /// Pixels of one page.
    #[arg(long)]
    pub pixels: u64,
    /// CPU time for one page, in seconds.
    #[arg(long)]
    pub seconds: u64,
}

/// Runs until standard input ends. Failures go to the parent as replies; an error means that even that was not possible.
pub fn run_child(args: &ChildArgs) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // A service manager may signal every process it has started. We end when our parent closes the pipe.
    // Rust's own handler of SIGSEGV can wait for ever for the allocator that faulted: a fault shall end us at once.
    for (signal, handler) in [
        (Signal::SIGINT, SigHandler::SigIgn),
        (Signal::SIGTERM, SigHandler::SigIgn),
        (Signal::SIGSEGV, SigHandler::SigDfl),
        (Signal::SIGBUS, SigHandler::SigDfl),
    ] {
        // SAFETY: the signals are ignored or have their default effect, so no handler runs.
        let _ = unsafe { nix::sys::signal::signal(signal, handler) };
    }
    if let Err(e) = limit(args) {
        return reply(&mut out, &setup(format!("limits: {e}")));
    }
    match is_image(&args.pdf) {
        Ok(true) => serve_image(args, &mut out),
        Ok(false) => serve_pdf(args, &mut out),
        Err(e) => reply(&mut out, &setup(e.to_string())),
    }
}

/// Told by the first bytes, as everything else that calls itself an image or a PDF is wrong anyway.
pub fn is_image(path: &Path) -> io::Result<bool> {
    let mut head = vec![];
    std::fs::File::open(path)?.take(32).read_to_end(&mut head)?;
    Ok(image::guess_format(&head).is_ok())
}

/// An image is one page at its own size; a pixel is a point.
fn serve_image(args: &ChildArgs, out: &mut impl Write) -> io::Result<()> {
    let decoded = image::ImageReader::open(&args.pdf)?.with_guessed_format()?;
    let mut decoder = match decoded.into_decoder() {
        Ok(decoder) => decoder,
        Err(_) => return reply(out, &Reply::Failed(Failure::Damaged)),
    };
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > args.pixels {
        let failure = too_large(width as f32, height as f32, f64::from(width) * f64::from(height), args.pixels);
        return reply(out, &Reply::Failed(failure));
    }
    let orientation = decoder.orientation();
    let Ok(mut image) = image::DynamicImage::from_decoder(decoder) else {
        return reply(out, &Reply::Failed(Failure::Damaged));
    };
    if let Ok(orientation) = orientation {
        image.apply_orientation(orientation);
    }
    let image = image.into_rgb8();
    let (width_px, height_px) = image.dimensions();
    let size = PageSize { width_px, height_px, width_pt: width_px as f32, height_pt: height_px as f32 };
    reply(out, &Reply::Opened { pages: 1 })?;
    for line in io::stdin().lock().lines() {
        let _: Request = serde_json::from_str(&line?)?;
        reply(out, &Reply::Page(size))?;
        out.write_all(&image)?;
        out.flush()?;
    }
    Ok(())
}

fn serve_pdf(args: &ChildArgs, out: &mut impl Write) -> io::Result<()> {
    let Some(library) = &args.pdfium else {
        let reason = "libpdfium.so not found; run scripts/install-pdfium.sh, or set PDFIUM_LIB to its path";
        return reply(out, &setup(reason.to_owned()));
    };
    let bindings = match Pdfium::bind_to_library(library) {
        Ok(bindings) => bindings,
        Err(e) => return reply(out, &setup(format!("{}: {e}", library.display()))),
    };
    let pdfium = Pdfium::new(bindings);
    let document = match pdfium.load_pdf_from_file(&args.pdf, None) {
        Ok(document) if !document.pages().is_empty() => document,
        Ok(_) => return reply(out, &Reply::Failed(Failure::NoPages)),
        Err(e) => return reply(out, &Reply::Failed(open_failure(e))),
    };
    reply(out, &Reply::Opened { pages: document.pages().len() as u32 })?;
    let mut pixels = vec![];
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        limit_cpu(args.seconds)?;
        match render(&document, &request, args.pixels, &mut pixels) {
            Ok(size) => {
                reply(out, &Reply::Page(size))?;
                let width = size.width_px as usize * 3;
                for row in pixels.chunks_exact(stride(size.width_px)) {
                    out.write_all(&row[..width])?;
                }
                out.flush()?;
            }
            Err(failure) => reply(out, &Reply::Failed(failure))?,
        }
    }
    Ok(())
}

fn too_large(width_pt: f32, height_pt: f32, pixels: f64, limit: u64) -> Failure {
    Failure::PageTooLarge { width_pt, height_pt, megapixels: (pixels / 1e6).ceil() as u64, limit: limit / 1_000_000 }
}

fn setup(reason: String) -> Reply {
    Reply::Failed(Failure::Setup { reason })
}

fn limit(args: &ChildArgs) -> io::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    // Whatever we hang in, we end with the worker. The thread that started us is one of its runtime, which lives as long.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    setrlimit(Resource::RLIMIT_AS, args.memory, args.memory)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    limit_cpu(args.seconds)
}

/// The limit counts from the start of the process, so it moves with the time already used.
fn limit_cpu(seconds: u64) -> io::Result<()> {
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = used.user_time().tv_sec() + used.system_time().tv_sec();
    let (_, hard) = getrlimit(Resource::RLIMIT_CPU)?;
    setrlimit(Resource::RLIMIT_CPU, (used as u64).saturating_add(seconds + 1).min(hard), hard)?;
    Ok(())
}

fn reply(out: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let json = serde_json::to_vec(reply)?;
    out.write_all(&(json.len() as u32).to_le_bytes())?;
    out.write_all(&json)?;
    out.flush()
}

fn open_failure(error: PdfiumError) -> Failure {
    match error {
        PdfiumError::PdfiumLibraryInternalError(
            PdfiumInternalError::PasswordError | PdfiumInternalError::SecurityError,
        ) => Failure::Encrypted,
        PdfiumError::IoError(e) => Failure::Setup { reason: e.to_string() },
        _ => Failure::Damaged,
    }
}

/// pdfium wants rows of BGR bitmaps at multiples of four bytes.
fn stride(width: u32) -> usize {
    (width as usize * 3).next_multiple_of(4)
}

fn render(document: &PdfDocument, request: &Request, limit: u64, pixels: &mut Vec<u8>) -> Result<PageSize, Failure> {
    let damaged = |e: PdfiumError| Failure::PageDamaged { reason: format!("{e:?}") };
    let page = document.pages().get(request.page as i32).map_err(damaged)?;
    let (width_pt, height_pt) = (page.width().value, page.height().value);
    let side = |points: f32| (f64::from(points) * f64::from(request.zoom)).round().max(1.0);
    let (width, height) = (side(width_pt), side(height_pt));
    // Compared as floats first: pages may claim billions of points.
    if width * height > limit as f64 {
        return Err(too_large(width_pt, height_pt, width * height, limit));
    }
    let (width, height) = (width as u32, height as u32);
    pixels.clear();
    pixels.resize(stride(width) * height as usize, 0);
    let (w, h) = (width as i32, height as i32);
    let mut bitmap = PdfBitmap::from_bytes(w, h, PdfBitmapFormat::BGR, pixels).map_err(damaged)?;
    let config = PdfRenderConfig::new()
        .set_fixed_size(w, h)
        .set_format(PdfBitmapFormat::BGR)
        .set_reverse_byte_order(true)
        .render_form_data(true);
    page.render_into_bitmap_with_config(&mut bitmap, &config).map_err(damaged)?;
    Ok(PageSize { width_px: width, height_px: height, width_pt, height_pt })
}

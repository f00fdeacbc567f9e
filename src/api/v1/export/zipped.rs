use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use zip::ZipWriter;
use zip::write::{SimpleFileOptions, StreamWriter};

use super::{Results, Writer};
use crate::documents::{FoundRow, PageRow};

/// A ZIP of the files of all pages, none of which is kept.
pub struct Zipped<W> {
    writer: W,
    extension: &'static str,
    zip: Option<ZipWriter<StreamWriter<Pipe>>>,
    pipe: Pipe,
}

/// What was written and not yet taken.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<Vec<u8>>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W> Zipped<W> {
    pub fn new(writer: W, extension: &'static str) -> Self {
        let pipe = Pipe::default();
        Self { writer, extension, zip: Some(ZipWriter::new_stream(pipe.clone())), pipe }
    }
}

impl<W: Writer> Writer for Zipped<W> {
    fn page(&mut self, results: &Results, page: &PageRow, found: &[FoundRow], out: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut file = vec![];
        self.writer.page(results, page, found, &mut file)?;
        if let Some(zip) = &mut self.zip {
            zip.start_file(format!("page-{}.{}", page.number, self.extension), SimpleFileOptions::default())?;
            zip.write_all(&file)?;
        }
        out.append(&mut self.pipe.0.borrow_mut());
        Ok(())
    }

    fn end(&mut self, _: &Results, out: &mut Vec<u8>) -> anyhow::Result<()> {
        if let Some(zip) = self.zip.take() {
            zip.finish()?;
        }
        out.append(&mut self.pipe.0.borrow_mut());
        Ok(())
    }
}

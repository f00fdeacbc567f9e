use super::{Error, Result, Stop};

/// Who looks on while a prediction runs.
pub(super) struct Watch<'a> {
    pub stop: Stop<'a>,
    /// Called with a stage's name when it, or a part of it, is over.
    pub mark: &'a mut (dyn FnMut(&'static str) + Send),
}

impl Watch<'_> {
    pub fn check_cancelled(&self) -> Result<()> {
        if (self.stop)() { Err(Error::Stopped) } else { Ok(()) }
    }

    pub fn mark(&mut self, stage: &'static str) {
        (self.mark)(stage);
    }
}

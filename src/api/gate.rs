//! Connections that can be told not to read on.
//!
//! actix reads up to 128 KiB ahead of a handler that does not take its request's body, in a buffer that doubles: half a mebibyte for
//! each upload that waits for its turn. A connection whose gate is held stays in the kernel's buffers instead, and the client waits.

use std::cell::{Cell, RefCell};
use std::io::Result;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once before requests are looked at, so that one can hold the gate before its body is here.
const STEP: usize = 16 << 10;

/// A connection's gate; it is open unless somebody holds it.
#[derive(Clone, Default)]
pub struct Gate(Rc<State>);

#[derive(Default)]
struct State {
    holds: Cell<usize>,
    reader: RefCell<Option<Waker>>,
}

/// Nothing is read from the connection while this lives.
pub struct Hold(Gate);

impl Gate {
    pub fn hold(&self) -> Hold {
        self.0.holds.set(self.0.holds.get() + 1);
        Hold(self.clone())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let state = &self.0.0;
        state.holds.set(state.holds.get() - 1);
        if state.holds.get() == 0
            && let Some(reader) = state.reader.take()
        {
            reader.wake();
        }
    }
}

/// A stream behind a gate.
pub struct Gated<T> {
    io: T,
    gate: Gate,
    /// Bytes read since the last pause.
    step: usize,
}

impl<T> Gated<T> {
    pub fn new(io: T) -> Self {
        Self { io, gate: Gate::default(), step: 0 }
    }

    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gated<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if self.gate.0.holds.get() > 0 {
            *self.gate.0.reader.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.step >= STEP {
            self.step = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.step = if polled.is_pending() { 0 } else { self.step + buf.filled().len() - before };
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gated<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

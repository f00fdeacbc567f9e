//! Connections that can be told not to read on.
//!
//! actix reads up to 128 KiB ahead of a handler that does not take its request's body, in a buffer that doubles and stays: half a
//! mebibyte for each upload that waits for its turn, and for each idle connection that once had one. What comes on a connection whose
//! gate is held stays in the kernel's buffers instead, and the client waits.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::Result;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once before requests are looked at, so that one can hold the gate before its body is here.
const STEP: usize = 16 << 10;

/// A connection's gate; it is open unless somebody holds it, or meters what comes through.
#[derive(Clone, Default)]
pub struct Gate(Rc<State>);

#[derive(Default)]
struct State {
    holds: Cell<usize>,
    /// Bytes that may still be read; any number if nobody meters.
    credit: Cell<Option<usize>>,
    reader: RefCell<Option<Waker>>,
    /// The client has closed its end, or at least sends no more.
    ended: Cell<bool>,
    watcher: RefCell<Option<Waker>>,
}

/// Nothing is read from the connection while this lives.
pub struct ReadPause(Gate);

/// Only what is granted is read from the connection while this lives.
pub struct Meter(Gate);

impl Gate {
    pub fn hold(&self) -> ReadPause {
        self.0.holds.set(self.0.holds.get() + 1);
        ReadPause(self.clone())
    }

    pub fn meter(&self) -> Meter {
        self.0.credit.set(Some(0));
        Meter(self.clone())
    }

    /// Resolves when the client sends no more, as one that has hung up.
    pub async fn ended(&self) {
        poll_fn(|context| {
            if self.0.ended.get() {
                return Poll::Ready(());
            }
            *self.0.watcher.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn end(&self) {
        self.0.ended.set(true);
        if let Some(watcher) = self.0.watcher.take() {
            watcher.wake();
        }
    }

    /// Bytes that may be read now.
    fn open_for(&self) -> usize {
        if self.0.holds.get() > 0 { 0 } else { self.0.credit.get().unwrap_or(STEP).min(STEP) }
    }

    fn wake(&self) {
        if self.open_for() > 0
            && let Some(reader) = self.0.reader.take()
        {
            reader.wake();
        }
    }
}

impl Meter {
    /// Lets up to `STEP` bytes in, no matter what was granted before.
    pub fn grant(&self) {
        self.0.0.credit.set(Some(STEP));
        self.0.wake();
    }
}

impl Drop for ReadPause {
    fn drop(&mut self) {
        self.0.0.holds.set(self.0.0.holds.get() - 1);
        self.0.wake();
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.0.0.credit.set(None);
        self.0.wake();
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
        let open_for = self.gate.open_for();
        if open_for == 0 {
            *self.gate.0.reader.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.step >= STEP {
            self.step = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let size = buf.remaining().min(open_for).min(STEP - self.step);
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(size));
        let polled = Pin::new(&mut self.io).poll_read(cx, &mut part);
        let read = part.filled().len();
        if matches!(polled, Poll::Ready(Err(_))) || (polled.is_ready() && read == 0 && size > 0) {
            self.gate.end();
        }
        buf.advance(read);
        self.step = if polled.is_pending() { 0 } else { self.step + read };
        let credit = &self.gate.0.credit;
        credit.set(credit.get().map(|credit| credit.saturating_sub(read)));
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

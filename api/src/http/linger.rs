//! Closing without losing the response: the system resets a connection that is closed while data arrives, and the client then may
//! not see what was sent to it (RFC 9112, 9.6). So what still arrives is read for a while.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

/// How long a closed connection waits for the client to stop sending.
const LINGER: Duration = Duration::from_secs(5);

/// Whether everything that was received has been used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received(Arc<AtomicBool>);

impl Received {
    /// Notes that a request was read to its end.
    pub(crate) fn mark_used(&self) {
        self.0.store(false, Relaxed);
    }
}

/// A connection that is closed only when the client has stopped sending, unless all requests were read to their ends.
#[derive(Debug)]
pub(crate) struct Lingering {
    stream: TcpStream,
    received: Received,
    closing: Option<Pin<Box<Sleep>>>,
}

impl Lingering {
    pub(crate) const fn new(stream: TcpStream, received: Received) -> Self {
        Self { stream, received, closing: None }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.received.0.store(true, Relaxed);
        }
        read
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        if !this.received.0.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let until = this.closing.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut scrap = [0; 8 * 1024];
        while until.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut scrap);
            let read = ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

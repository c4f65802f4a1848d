//! A connection that brings its bytes a piece at a time, and no more of them than it may.
//!
//! actix reads ahead: 128 KiB of what has arrived, and as much again while nobody takes what it has
//! read. A crowd of senders would fill the memory with what nobody asked for.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::heads::{HeadTimer, Heads};

/// Bytes of a piece: half of the buffer that actix begins with, so that it does not grow.
const PIECE: usize = 4 * 1024;

/// A connection of a listener, as actix reads and writes it.
pub struct Connection {
    stream: TcpStream,
    inflow: Inflow,
    heads: Heads,
    head_timer: HeadTimer,
    /// Whether actix has had a piece, to be worked off before the next.
    has_had_piece: bool,
}

/// How much a connection may bring: its handlers say so. Cheap to clone.
#[derive(Clone)]
pub struct Inflow(Rc<State>);

struct State {
    left: Cell<usize>,
    reader: Cell<Option<Waker>>,
}

/// Without limit.
impl Default for Inflow {
    fn default() -> Self {
        Self(Rc::new(State {
            left: Cell::new(usize::MAX),
            reader: Cell::new(None),
        }))
    }
}

impl Inflow {
    /// Lets so many more bytes come; what is beyond them stays with the sender.
    pub fn allow(&self, bytes: usize) {
        self.0.left.set(bytes);
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
    }

    /// Lets so many more bytes come than were left.
    pub fn allow_more(&self, bytes: usize) {
        self.allow(self.left().saturating_add(bytes));
    }

    /// How many bytes may still come.
    pub fn left(&self) -> usize {
        self.0.left.get()
    }

    fn poll_left(&self, context: &Context<'_>) -> Poll<usize> {
        match self.0.left.get() {
            0 => {
                self.0.reader.set(Some(context.waker().clone()));
                Poll::Pending
            }
            left => Poll::Ready(left),
        }
    }
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            inflow: Inflow::default(),
            heads: Heads::default(),
            head_timer: HeadTimer::default(),
            has_had_piece: false,
        }
    }

    /// For the handlers of its requests.
    pub fn inflow(&self) -> Inflow {
        self.inflow.clone()
    }

    /// For who watches its requests.
    pub fn heads(&self) -> Heads {
        self.heads.clone()
    }

    pub fn peer(&self) -> Option<SocketAddr> {
        self.stream.peer_addr().ok()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Nothing more is taken: answered is all that was asked.
        if this.head_timer.is_overdue(&this.heads, context) {
            return Poll::Ready(Ok(()));
        }
        let left = ready!(this.inflow.poll_left(context));
        if std::mem::take(&mut this.has_had_piece) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let length = buffer.remaining().min(PIECE).min(left);
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(length));
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut piece))?;
        let read = piece.filled().len();
        // After less than a piece there is nothing more for now: the stream itself will say so.
        this.has_had_piece = read == PIECE;
        this.inflow.0.left.set(left - read);
        if read > 0 {
            this.heads.has_come();
        }
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // After an answer nobody reads before something comes: the time runs from here.
        if this.head_timer.is_overdue(&this.heads, context) {
            context.waker().wake_by_ref();
        }
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

//! A connection that brings its bytes a piece at a time, and no more of them than it may.
//!
//! actix reads ahead: 128 KiB of what has arrived, and as much again while nobody takes what it has
//! read. A crowd of senders would fill the memory with what nobody asked for. Nor does it end a
//! connection whose other end takes no answer: it would be held for good.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_openssl::SslStream;

use super::answers::AnswerTimer;
use super::heads::{HeadTimer, Heads};
use super::transport::Peer;

/// Bytes of a piece: half of the buffer that actix begins with, so that it does not grow.
const PIECE: usize = 4 * 1024;

/// A connection of a listener, as actix reads and writes it.
pub struct Connection {
    stream: Stream,
    peer: Peer,
    inflow: Inflow,
    heads: Heads,
    head_timer: HeadTimer,
    answer_timer: AnswerTimer,
    /// Bytes of the piece that actix has had, to be worked off before the next.
    brought: usize,
}

enum Stream {
    Plain(TcpStream),
    /// Boxed, for it is many times as large.
    Encrypted(Box<SslStream<TcpStream>>),
}

impl Stream {
    fn reader(&mut self) -> Pin<&mut (dyn AsyncRead + Unpin)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Encrypted(stream) => Pin::new(stream),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Plain(stream) => Pin::new(stream),
            Self::Encrypted(stream) => Pin::new(stream),
        }
    }
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
    pub fn plain(stream: TcpStream) -> Self {
        let peer = Peer::plain(stream.peer_addr().ok());
        Self::new(Stream::Plain(stream), peer)
    }

    /// One whose handshake is done.
    pub fn encrypted(stream: SslStream<TcpStream>, peer: Peer) -> Self {
        Self::new(Stream::Encrypted(Box::new(stream)), peer)
    }

    fn new(stream: Stream, peer: Peer) -> Self {
        Self {
            stream,
            peer,
            inflow: Inflow::default(),
            heads: Heads::default(),
            head_timer: HeadTimer::default(),
            answer_timer: AnswerTimer::default(),
            brought: 0,
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

    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether nothing more is taken from the other end. Not while it has answers to take: how long that
    /// may last is told where they are written.
    fn is_overdue(&mut self, context: &mut Context<'_>) -> bool {
        !self.answer_timer.is_running() && self.head_timer.is_overdue(&self.heads, context)
    }

    fn limit<T>(
        &mut self,
        attempt: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if attempt.is_ready() && self.answer_timer.is_running() {
            self.heads.wait_anew();
        }
        self.answer_timer.limit(attempt, context)
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
        if this.is_overdue(context) {
            return Poll::Ready(Ok(()));
        }
        let left = ready!(this.inflow.poll_left(context));
        if this.brought >= PIECE {
            this.brought = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // What is encrypted comes in records, however small: they make up a piece together.
        let length = buffer.remaining().min(PIECE - this.brought).min(left);
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(length));
        let Poll::Ready(result) = this.stream.reader().poll_read(context, &mut piece) else {
            // There is nothing more for now: the stream itself will say so.
            this.brought = 0;
            return Poll::Pending;
        };
        result?;
        let read = piece.filled().len();
        this.brought += read;
        this.inflow.0.left.set(left - read);
        if read > 0 {
            this.heads.note_arrival();
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
        let this = self.get_mut();
        let written = this.stream.writer().poll_write(context, bytes);
        this.limit(written, context)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // After an answer nobody reads before something comes: the time runs from here.
        if this.is_overdue(context) {
            context.waker().wake_by_ref();
        }
        let flushed = this.stream.writer().poll_flush(context);
        this.limit(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.writer().poll_shutdown(context)
    }
}

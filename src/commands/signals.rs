//! SIGTERM and SIGINT: caught from before the service says that it is there, so that none ends it at once.
//! SIGXFSZ: caught and left alone.

use std::future::poll_fn;
use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::task::Poll;

use actix_web::rt::System;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};

/// The signals to stop that came since they were caught first.
pub struct Signals(Receiver<()>);

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// Where the system refuses it, or another thread.
    pub fn caught() -> io::Result<Self> {
        let (catching, is_catching) = channel();
        let (came, coming) = channel();
        let thread = std::thread::Builder::new().name("signals".to_owned());
        thread.spawn(move || {
            System::new().block_on(async {
                match catch() {
                    Err(error) => drop(catching.send(Err(error))),
                    Ok(signals) => {
                        let _ = catching.send(Ok(()));
                        one_of(signals).await;
                        let _ = came.send(());
                    }
                }
            });
        })?;
        is_catching
            .recv()
            .map_err(|_| io::Error::other("signals cannot be received"))??;
        Ok(Self(coming))
    }

    /// Waits for the first one.
    pub fn wait(&self) {
        let _ = self.0.recv();
    }
}

/// SIGXFSZ, which a process gets that writes beyond the size its files may have, and which would end it.
const FILE_TOO_LARGE: i32 = 25;

fn catch() -> io::Result<[Signal; 2]> {
    // Once it is caught the write fails instead, like any other on a full disk.
    drop(signal(SignalKind::from_raw(FILE_TOO_LARGE))?);
    Ok([
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    ])
}

async fn one_of(mut signals: [Signal; 2]) {
    poll_fn(|context| {
        let mut came = signals.iter_mut().map(|signal| signal.poll_recv(context));
        match came.any(|poll| poll.is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

//! The listener: one thread for each connection, answers true or with the fault that is asked for.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::calls::Call;
use super::faults::Fault;
use super::http::{self, Request};
use super::shared::Shared;
use super::{api, control, delivery, processing};

/// Connections at once; further ones are closed.
const MOST: usize = 1000;
/// A client that takes no more bytes is given up after this time.
const STALLED: Duration = Duration::from_secs(60);

/// Accepts until the sandbox is stopped; stopping takes one more connection.
pub(super) fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if shared.gate.is_stopped() {
            return;
        }
        let Ok(stream) = stream else {
            // No file descriptor is left, or the like: it gets better or it does not.
            shared.gate.pause(Duration::from_millis(100));
            continue;
        };
        if open.fetch_add(1, Ordering::Relaxed) >= MOST {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (shared, of_thread) = (shared.clone(), open.clone());
        let thread = std::thread::Builder::new().name("sandbox".to_owned());
        let spawned = thread.spawn(move || {
            if let Err(error) = serve(stream, &shared) {
                log::debug!("a connection of the sandbox ended: {}", error.kind());
            }
            of_thread.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            open.fetch_sub(1, Ordering::Relaxed);
            log::warn!("a connection of the sandbox is refused: {error}");
        }
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(STALLED))?;
    while let Some(request) = http::receive(&mut stream, &shared.gate)? {
        let wants_more = request
            .header("connection")
            .is_none_or(|value| !value.eq_ignore_ascii_case("close"));
        if !exchange(&mut stream, shared, &request)? || !wants_more {
            break;
        }
    }
    Ok(())
}

/// Answers one request. Returns whether the connection can be used further.
fn exchange(stream: &mut TcpStream, shared: &Shared, request: &Request) -> io::Result<bool> {
    let Some((operation, card_id)) = api::operation(request) else {
        http::take_last_byte(stream)?;
        let answer = control::answer(shared, request);
        return delivery::deliver(stream, &answer, None, &shared.gate);
    };
    let call = shared.calls.begin(Call {
        at: shared.clock.now(),
        method: request.method.clone(),
        path_and_query: processing::shown(request).unwrap_or_else(|| request.target.clone()),
        operation,
        card_id: card_id.clone(),
        status: None,
    });
    let fault = shared.faults.take(operation);
    match fault {
        Some(Fault::Hang) => {
            http::take_last_byte(stream)?;
            http::wait_for_close(stream, &shared.gate)?;
            return Ok(false);
        }
        // What is unread makes the kernel reset the connection.
        Some(Fault::Reset) => return Ok(false),
        _ => {}
    }
    let instead = |fault| delivery::instead(shared, operation, fault);
    let answer = match fault.as_ref().and_then(instead) {
        Some(other) => other,
        None => {
            let of_content = fault.as_ref().filter(|fault| fault.is_of_content());
            api::answer(shared, request, (operation, card_id.as_deref()), of_content)
        }
    };
    shared.gate.wait(operation);
    if fault == Some(Fault::AnswerLost) {
        return Ok(false);
    }
    http::take_last_byte(stream)?;
    shared.calls.answered(call, answer.status);
    delivery::deliver(stream, &answer, fault.as_ref(), &shared.gate)
}

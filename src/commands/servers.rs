//! The two listeners of the service, run on a thread of their own.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::App;
use actix_web::dev::{AppConfig, Server};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::rt::{self, System};
use actix_web::web::ServiceConfig;
use tokio::sync::oneshot;

use crate::console::Console;
use crate::receiver::{
    Connection, HEAD_DEADLINE, Receiver, Transport, bound_answers, close_outdated, watch_heads,
};

/// The API does its work beside the event loop.
const API_WORKERS: usize = 2;
/// How long a refused sender may go on sending before its connection is cut.
const LINGER: Duration = Duration::from_millis(500);
/// Accepted requests are answered in this time after a stop.
const STOP_DEADLINE_SECONDS: u64 = 8;

pub type Listeners = (Option<(Receiver, TcpListener)>, (Console, TcpListener));

/// Runs both listeners on a thread of their own until told to stop.
pub fn start(
    (public, (console, api_listener)): Listeners,
) -> io::Result<(oneshot::Sender<()>, JoinHandle<io::Result<()>>)> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (report, started) = sync_channel(1);
    let streams = console.api.streams.clone();
    let run = move || {
        System::new().block_on(async move {
            let servers = (|| {
                let api = move |config: &mut ServiceConfig| {
                    console.configure(config);
                    console.api.configure(config);
                };
                let mut servers = vec![server(api_listener, Some(API_WORKERS), None, api)?];
                if let Some((receiver, listener)) = public {
                    let transport = receiver.transport.clone();
                    let followed = transport.clone();
                    rt::spawn(async move { followed.follow().await });
                    let receiver = move |config: &mut ServiceConfig| receiver.configure(config);
                    servers.push(server(listener, None, Some(transport), receiver)?);
                }
                Ok::<_, io::Error>(servers)
            })();
            let servers = match servers {
                Ok(servers) => servers,
                Err(error) => {
                    let _ = report.send(Err(error));
                    return Ok(());
                }
            };
            let handles: Vec<_> = servers.iter().map(Server::handle).collect();
            let running: Vec<_> = servers.into_iter().map(rt::spawn).collect();
            let _ = report.send(Ok(()));
            // Dropped without a word, the stopper means stop too.
            let _ = stopped.await;
            streams.end();
            let stopping = handles.iter().map(|handle| rt::spawn(handle.stop(true)));
            for stopping in Vec::from_iter(stopping) {
                let _ = stopping.await;
            }
            for server in running {
                server.await.map_err(io::Error::other)??;
            }
            Ok(())
        })
    };
    let servers = std::thread::Builder::new()
        .name("servers".to_owned())
        .spawn(run)?;
    started.recv().map_err(io::Error::other)??;
    Ok((stop, servers))
}

/// One listener with its routes. `workers` none means one for each core; `transport` none is plain HTTP
/// for everybody.
fn server(
    listener: TcpListener,
    workers: Option<usize>,
    transport: Option<Arc<Transport>>,
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    bound_answers(&listener)?;
    let server = Server::build()
        .shutdown_timeout(STOP_DEADLINE_SECONDS)
        .disable_signals();
    let server = match workers {
        Some(workers) => server.workers(workers),
        None => server,
    };
    let stopping = server.graceful_shutdown_signal();
    // What actix's HttpServer does, with connections of our own.
    let service = move || {
        let stopping = stopping.clone();
        let stops = move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        };
        let app = App::new()
            .wrap(from_fn(close_outdated))
            .wrap(from_fn(watch_heads))
            .configure(routes.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(stops)
            .client_request_timeout(HEAD_DEADLINE)
            .client_disconnect_timeout(LINGER)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.inflow());
                data.insert(connection.heads());
                data.insert(connection.peer().clone());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        let transport = transport.clone();
        let connect = move |stream: TcpStream| {
            let transport = transport.clone();
            async move {
                let connection = match transport {
                    Some(transport) => transport.accept(stream).await,
                    None => Some(Connection::plain(stream)),
                };
                let refused = || DispatchError::Io(io::ErrorKind::ConnectionAborted.into());
                let connection = connection.ok_or_else(refused)?;
                let address = connection.peer().address;
                Ok((connection, address))
            }
        };
        fn_service(connect).and_then(http)
    };
    Ok(server.listen("http", listener, service)?.run())
}

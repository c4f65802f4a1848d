//! The HTTP agent of a program: what it accepts, and how it tells a call that was never sent.

use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Agent, Error, Timeout, config::Config};

use super::public::is_within;
use crate::settings::{ConnectionSettings, Reach};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes from the status line to the body.
const MAX_HEAD: usize = 32 * 1024;
/// Bytes. A connection keeps two of them while it is open.
const BUFFER: usize = 64 * 1024;

/// An agent that follows no redirect, uses no proxy, and takes its certificate authorities from the
/// system.
pub(super) fn agent(settings: &ConnectionSettings) -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::NativeTls)
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent("tokenkeep")
        .accept("application/json")
        .accept_encoding("identity")
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .max_response_header_size(MAX_HEAD)
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_idle_connections(settings.concurrency())
        .max_idle_connections_per_host(settings.concurrency());
    let resolver = Resolving {
        system: DefaultResolver::default(),
        reach: settings.reach,
    };
    let connector = Connecting::default();
    Agent::with_parts(config.build(), connector, resolver)
}

/// Connects as usual. Its failures are told apart from those of a connection that was there: up to
/// here nothing has been sent.
#[derive(Debug, Default)]
struct Connecting(DefaultConnector);

impl Connector<()> for Connecting {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        self.0
            .connect(details, chained)
            .map_err(|error| match error {
                Error::Io(_) => Error::ConnectionFailed,
                Error::Timeout(_) => Error::Timeout(Timeout::Connect),
                other => other,
            })
    }
}

/// Looks names up as usual; whatever fails there is a host that is not found.
#[derive(Debug)]
struct Resolving {
    system: DefaultResolver,
    /// Which addresses a name may have.
    reach: Reach,
}

impl Resolver for Resolving {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.system.resolve(uri, config, timeout);
        let found = found.map_err(|error| match error {
            Error::Io(_) => Error::HostNotFound,
            Error::Timeout(_) => Error::Timeout(Timeout::Resolve),
            other => other,
        })?;
        // What is checked here is what is connected to: the name is not looked up again.
        match found
            .iter()
            .all(|address| is_within(self.reach, address.ip()))
        {
            true => Ok(found),
            false => Err(Error::BadUri("an address that is not called".to_owned())),
        }
    }
}

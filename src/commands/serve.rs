//! `serve`: the service, until it is told to stop.

use clap::Args;
use toml::Value;

use super::failure::Failure;
use super::maintenance::in_words;
use super::signals::Signals;
use super::{Common, Service, StartError, core_dumps};
use crate::settings::Role;
use crate::telemetry::{Clock, init_logs};

#[derive(Args)]
pub struct ServeArgs {
    /// The public listener, for Mastercard [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The listener of the API [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    api_listen: Option<String>,
    /// What this process does [default: everything]
    #[arg(long, value_delimiter = ',', value_name = "ROLES")]
    roles: Option<Vec<Role>>,
}

pub fn run(common: &Common, args: ServeArgs) -> Result<(), Failure> {
    let mut values: Vec<(&'static str, Value)> = Vec::new();
    values.extend(args.listen.map(|address| ("listen", address.into())));
    values.extend(
        args.api_listen
            .map(|address| ("api_listen", address.into())),
    );
    values.extend(args.roles.map(|roles| ("roles", role_names(&roles))));
    let settings = common.settings(values)?;
    init_logs(settings.log.format);
    core_dumps::forbid();
    let signals = Signals::caught()?;
    let service = Service::start(&settings, Clock::system()).map_err(|error| match error {
        StartError::Database(_) | StartError::Spool(_) | StartError::Io(_) => {
            Failure::unwell(error)
        }
        _ => Failure::wrong(error),
    })?;
    if let Some(public) = service.public {
        let scheme = match settings.receiver.tls.is_used() {
            true => "https",
            false => "http",
        };
        log::info!("receiving on {scheme}://{public}{}", settings.receiver.path);
    }
    log::info!("the API is on http://{}", service.api);
    log::info!("the database is {}", service.store.location());
    if let Ok(Some(in_force)) = service.store.read(|tx| tx.maintenance()) {
        log::warn!("maintenance: {}", in_words(&in_force));
    }
    service.run_until_signalled(signals)?;
    log::info!("stopped");
    Ok(())
}

fn role_names(roles: &[Role]) -> Value {
    let name = |role: &Role| match role {
        Role::Receive => "receive",
        Role::Process => "process",
        Role::Dispatch => "dispatch",
    };
    Value::Array(roles.iter().map(|role| name(role).into()).collect())
}

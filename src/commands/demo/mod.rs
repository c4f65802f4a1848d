//! `demo`: a service and the other side on this machine, the story of one card of each program, and the
//! fixtures played into it.

mod checkout;
mod fixtures;
mod settings;
mod story;
mod tale;
mod tokens;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::signals::Signals;
use super::{Common, Service};
use crate::api::access::{AccessRole, digest, new_key};
use crate::jose::{Keyring, OpenPolicy};
use crate::store::{ApiKey, Store};
use crate::telemetry::Clock;

#[derive(Args)]
pub struct DemoArgs {
    /// The folder of fixtures to play, in the order of their names
    #[arg(long, value_name = "DIR", default_value = "fixtures")]
    fixtures: PathBuf,
    /// End after the story instead of leaving the service open
    #[arg(long)]
    exit: bool,
}

/// The card the merchant's app registers before the fixtures are played, with a token it holds.
const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";
/// What does not happen in this time ends the demo.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(common: &Common, args: DemoArgs) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut settings = settings::of_service(common, folder.path())?;
    let sandbox = settings::start_sandbox(&mut settings)?;
    let keyring = Keyring::load(&settings.keys, OpenPolicy::default()).map_err(Failure::wrong)?;
    let clock = Clock::system();
    let fixtures = fixtures::load(&args.fixtures, &settings.keys, &keyring, clock.now())?;

    let service = Service::start(&settings, clock).map_err(Failure::wrong)?;
    let store = service.store.clone();
    let ops = api_key(&store, AccessRole::Ops)?;
    let app = api_key(&store, AccessRole::App)?;
    let payments = api_key(&store, AccessRole::Payments)?;
    let public = service.public.map(|a| a.to_string()).unwrap_or_default();
    let receiver = format!("http://{public}{}", settings.receiver.path);
    let api = format!("http://{}", service.api);
    let agent = agent();

    story::begin(&receiver, &api, &format!("http://{}", sandbox.address()))?;
    sandbox.send_to(Some(receiver.clone()));
    let tale = tale::Tale {
        sandbox: &sandbox,
        store: &store,
        agent: &agent,
        api: &api,
        app: &app,
        payments: &payments,
    };
    tale.tell_checkout()?;
    tale.tell_tokens()?;
    story::begin_fixtures(CARD)?;
    tale.register(CARD, &registration())?;
    for (number, fixture) in (1..).zip(&fixtures) {
        let status = post(&agent, &receiver, &fixture.body)?;
        story::delivery(number, &fixture.name, status)?;
        wait_until_decided(&store)?;
        story::items(&store, Clock::system().now())?;
    }
    story::end(&store, Clock::system().now())?;
    if args.exit {
        return Ok(service.stop()?);
    }
    let signals = Signals::caught()?;
    story::invite(&api, &ops)?;
    Ok(service.run_until_signalled(signals)?)
}

fn api_key(store: &Store, role: AccessRole) -> Result<String, Failure> {
    let key = new_key(role).map_err(Failure::unwell)?;
    let kept = ApiKey {
        name: format!("demo-{}", role.name()),
        role: role.name().to_owned(),
        digest: digest(&key),
        created_at: Clock::system().now(),
        revoked_at: None,
    };
    store.write(|tx| tx.insert_api_key(&kept))?;
    Ok(key)
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(PATIENCE)).build().into()
}

fn registration() -> serde_json::Value {
    json!({
        "program": "shop",
        "consumerReference": "consumer-7",
        "token": {
            "paymentToken": "5480980000000011",
            "tokenExpirationMonth": "12",
            "tokenExpirationYear": "2028",
        },
    })
}

fn post(agent: &ureq::Agent, url: &str, body: &str) -> Result<u16, Failure> {
    let request = agent.post(url).header("content-type", "application/json");
    let answer = request.send(body).map_err(Failure::unwell)?;
    Ok(answer.status().as_u16())
}

fn wait_until_decided(store: &Store) -> Result<(), Failure> {
    wait_until("a delivery is not decided in time", || {
        Ok(store.read(|tx| tx.count_waiting())? == 0)
    })
}

fn wait_until(
    late: &'static str,
    mut done: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            return Err(Failure::unwell(late));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

//! `demo`: a service and the other side on this machine, the story of one card, and the fixtures
//! played into it.

mod fixtures;
mod story;
mod tale;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::{Common, Service};
use crate::api::access::{AccessRole, digest, new_key};
use crate::jose::{Keyring, OpenPolicy};
use crate::sandbox::{Sandbox, SandboxError, SandboxSettings};
use crate::settings::{ProgramSettings, Settings};
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

/// The card the merchant's app registers before the story begins, with a token it holds.
const CARD: &str = "9ajNArkAR66zqYyHCn0rCA000000000000US";
/// That of the card of the story. The fixtures' program cannot be called: what they make due is shown
/// as due.
const STORY_SERVICE_ID: &str = "SECURE_COF_MERCHANT#START_COF-STORY#01";
const SERVICE_ID: &str = "SECURE_COF_MERCHANT#START_COF-UPN2#01";
/// A delivery that is not decided in this time ends the demo.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(common: &Common, args: DemoArgs) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let mut settings = settings(common, folder.path())?;
    let sandbox = sandbox(&settings)?;
    settings
        .programs
        .insert(tale::PROGRAM.to_owned(), program(&sandbox)?);
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

    story::begin(&receiver, &api, &sandbox.base_url())?;
    sandbox.send_to(Some(receiver.clone()));
    let tale = tale::Tale {
        sandbox: &sandbox,
        store: &store,
        agent: &agent,
        api: &api,
        app: &app,
        payments: &payments,
    };
    tale.tell()?;
    story::begin_fixtures()?;
    register_card(&agent, &api, &app)?;
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
    story::invite(&api, &ops)?;
    Ok(service.run_until_signalled()?)
}

/// The defaults, on free ports and a store of its own: what stands in a file or in the environment
/// is for the service, not for the demo.
fn settings(common: &Common, folder: &std::path::Path) -> Result<Settings, Failure> {
    let mut settings = Settings::defaults().map_err(Failure::wrong)?;
    settings.listen = "127.0.0.1:0".to_owned();
    settings.api_listen = "127.0.0.1:0".to_owned();
    settings.database_url = folder.join("demo.db").to_string_lossy().into_owned();
    if let Some(keys) = &common.keys {
        settings.keys.clone_from(keys);
    }
    let shop = json!({ "kind": "mastercard-checkout", "service_id": SERVICE_ID });
    let shop = serde_json::from_value(shop).map_err(Failure::wrong)?;
    settings.programs.insert("shop".to_owned(), shop);
    Ok(settings)
}

/// The other side, for the card of the story.
fn sandbox(settings: &Settings) -> Result<Sandbox, Failure> {
    let wanted = SandboxSettings {
        service_id: STORY_SERVICE_ID.to_owned(),
        ..SandboxSettings::new(settings.keys.clone())
    };
    Sandbox::start(wanted).map_err(|error| match error {
        SandboxError::Io(_) => Failure::unwell(error),
        _ => Failure::wrong(error),
    })
}

/// The program under which the sandbox is called.
fn program(sandbox: &Sandbox) -> Result<ProgramSettings, Failure> {
    let program = json!({
        "kind": "mastercard-checkout",
        "base_url": sandbox.base_url(),
        "verification_url": sandbox.verification_url(),
        "src_client_id": "6aff5cba-3aac-4fe0-b0cd-a52fc948d0c6",
        "src_dpa_id": "demo-dpa",
        "service_id": STORY_SERVICE_ID,
        "consumer_key": "demo-client!demo-key",
        "signing_key": "signing/demo-signing.pem",
    });
    serde_json::from_value(program).map_err(Failure::wrong)
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

fn register_card(agent: &ureq::Agent, api: &str, key: &str) -> Result<(), Failure> {
    let registration = json!({
        "program": "shop",
        "consumerReference": "consumer-7",
        "token": {
            "paymentToken": "5480980000000011",
            "tokenExpirationMonth": "12",
            "tokenExpirationYear": "2028",
        },
    });
    let request = agent
        .put(format!("{api}/v1/cards/{CARD}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    let answer = request
        .send(registration.to_string())
        .map_err(Failure::unwell)?;
    story::registration(CARD, answer.status().as_u16())
}

fn post(agent: &ureq::Agent, url: &str, body: &str) -> Result<u16, Failure> {
    let request = agent.post(url).header("content-type", "application/json");
    let answer = request.send(body).map_err(Failure::unwell)?;
    Ok(answer.status().as_u16())
}

fn wait_until_decided(store: &Store) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while store.read(|tx| tx.count_waiting())? > 0 {
        if Instant::now() > deadline {
            return Err(Failure::unwell("a delivery is not decided in time"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

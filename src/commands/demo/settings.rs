//! The settings of the demo's service and of the sandbox that stands in for everybody else.

use std::path::Path;

use serde_json::{Value, json};

use super::{checkout, tokens};
use crate::commands::Common;
use crate::commands::failure::Failure;
use crate::sandbox::{Sandbox, SandboxError, SandboxSettings};
use crate::settings::Settings;

/// The serviceId of the card of the first story. The fixtures' program cannot be called: what they make
/// due is shown as due.
const STORY_SERVICE_ID: &str = "SECURE_COF_MERCHANT#START_COF-STORY#01";
const SERVICE_ID: &str = "SECURE_COF_MERCHANT#START_COF-UPN2#01";

/// The defaults, on free ports and a store of its own: what stands in a file or in the environment
/// is for the service, not for the demo.
pub fn of_service(common: &Common, folder: &Path) -> Result<Settings, Failure> {
    let mut settings = Settings::defaults().map_err(Failure::wrong)?;
    settings.listen = "127.0.0.1:0".to_owned();
    settings.api_listen = "127.0.0.1:0".to_owned();
    settings.database_url = folder.join("demo.db").to_string_lossy().into_owned();
    if let Some(keys) = &common.keys {
        settings.keys.clone_from(keys);
    }
    let shop = json!({ "kind": "mastercard-checkout", "service_id": SERVICE_ID });
    add_program(&mut settings, "shop", shop)?;
    Ok(settings)
}

/// Starts the other side, and adds the programs under which it is called.
pub fn start_sandbox(settings: &mut Settings) -> Result<Sandbox, Failure> {
    let wanted = SandboxSettings {
        service_id: STORY_SERVICE_ID.to_owned(),
        ..SandboxSettings::new(settings.keys.clone())
    };
    let sandbox = Sandbox::start(wanted.clone()).map_err(|error| match error {
        SandboxError::Io(_) => Failure::unwell(error),
        _ => Failure::wrong(error),
    })?;
    let checkout = json!({
        "kind": "mastercard-checkout",
        "base_url": sandbox.base_url(),
        "verification_url": sandbox.verification_url(),
        "src_client_id": "6aff5cba-3aac-4fe0-b0cd-a52fc948d0c6",
        "src_dpa_id": "demo-dpa",
        "service_id": STORY_SERVICE_ID,
        "consumer_key": "demo-client!demo-key",
        "signing_key": wanted.signing_key,
    });
    let issuer = json!({
        "kind": "mastercard-processing",
        "base_url": sandbox.processing_url(),
        "consumer_key": "demo-client!demo-key",
        "signing_key": wanted.signing_key,
        "encryption_key": "encryption/sandbox.pem",
    });
    let bank = json!({
        "kind": "alliance",
        "base_url": sandbox.alliance_url(),
        "kid": wanted.alliance_kid,
        "signing_key": wanted.alliance_signing_key,
        "verification_keys": "verification/alliance/sandbox.json",
    });
    add_program(settings, checkout::PROGRAM, checkout)?;
    add_program(settings, tokens::ISSUER, issuer)?;
    add_program(settings, tokens::BANK, bank)?;
    Ok(sandbox)
}

fn add_program(settings: &mut Settings, name: &str, program: Value) -> Result<(), Failure> {
    let program = serde_json::from_value(program).map_err(Failure::wrong)?;
    settings.programs.insert(name.to_owned(), program);
    Ok(())
}

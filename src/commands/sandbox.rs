//! `sandbox`: the other side on this machine, to try tokenkeep against.

use std::io::{self, Write};
use std::path::PathBuf;

use actix_web::rt::System;
use clap::Args;

use super::failure::Failure;
use super::{Common, servers};
use crate::sandbox::{Sandbox, SandboxError, SandboxSettings, SendingFault};

#[derive(Args)]
pub struct SandboxArgs {
    /// Where the APIs are
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: String,
    /// Send notifications to this receiver when a card changes
    #[arg(long, value_name = "URL")]
    send_to: Option<String>,
    /// Let cards change by themselves, this many times a second
    #[arg(long, value_name = "N", requires = "send_to", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: Option<u32>,
    /// What goes wrong with sending now and then
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "send_to")]
    faults: Vec<SendingFault>,
    /// Cards that are there from the start
    #[arg(long, value_name = "N", default_value_t = 10)]
    cards: usize,
    /// The serviceId of these cards [default: that of the demonstration]
    #[arg(long, value_name = "ID")]
    service_id: Option<String>,
    /// The merchant's signing key in the key folder, of which the public half is used
    /// [default: signing/demo-signing.pem]
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// Make the choices of an earlier run again [default: a new seed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Any client may call; its id only has to be in the form of one.
const CLIENT_ID: &str = "6aff5cba-3aac-4fe0-b0cd-a52fc948d0c6";

pub fn run(common: &Common, args: SandboxArgs) -> Result<(), Failure> {
    let defaults = SandboxSettings::new(common.settings(Vec::new())?.keys);
    let settings = SandboxSettings {
        listen: args.listen,
        send_to: args.send_to,
        rate: args.rate,
        sending_faults: args.faults,
        cards: args.cards,
        service_id: args.service_id.unwrap_or(defaults.service_id),
        signing_key: args.signing_key.unwrap_or(defaults.signing_key),
        seed: args.seed,
        ..defaults
    };
    let sandbox = Sandbox::start(settings.clone()).map_err(|error| match error {
        SandboxError::Io(_) => Failure::unwell(error),
        _ => Failure::wrong(error),
    })?;
    tell(&sandbox, &settings)?;
    System::new().block_on(servers::signalled())?;
    let sent = sandbox.sent();
    if sent.accepted + sent.given_up > 0 {
        log::info!(
            "{} notifications were acknowledged, {} given up",
            sent.accepted,
            sent.given_up
        );
    }
    sandbox.stop();
    Ok(())
}

/// What a program's settings need, and what there is to try.
fn tell(sandbox: &Sandbox, settings: &SandboxSettings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let cards = format!("http://{}/sandbox/cards", sandbox.address());
    writeln!(out, "The other side on this machine. It is not Mastercard.")?;
    writeln!(out, "A program that calls it, for tokenkeep.toml:\n")?;
    writeln!(out, "  [programs.shop]")?;
    for (name, value) in [
        ("kind", "mastercard-checkout"),
        ("base_url", &sandbox.base_url()),
        ("verification_url", &sandbox.verification_url()),
        ("src_client_id", CLIENT_ID),
        ("service_id", &settings.service_id),
        ("consumer_key", "sandbox"),
        ("signing_key", &settings.signing_key.to_string_lossy()),
    ] {
        writeln!(out, "  {name} = {}", toml::Value::from(value))?;
    }
    writeln!(
        out,
        "\nIts cards (seed {}), listed at {cards}:\n",
        sandbox.seed()
    )?;
    for card in sandbox.cards() {
        writeln!(out, "  {}", card.id)?;
    }
    writeln!(
        out,
        "\nOne changes with curl -X POST {cards}/ID/CHANGE, where CHANGE is"
    )?;
    writeln!(
        out,
        "refresh, refresh-number, refresh-expiry, suspend, resume or cancel."
    )
}

//! `sandbox`: the other side on this machine, to try tokenkeep against.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::Common;
use super::failure::Failure;
use super::signals::Signals;
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
    /// The merchant's key in the key folder for what it asks of the bank, of which the public half is
    /// used [default: signing/demo-alliance.pem]
    #[arg(long, value_name = "FILE")]
    alliance_signing_key: Option<PathBuf>,
    /// The name that the bank has given that key [default: that of the demonstration]
    #[arg(long, value_name = "KID")]
    alliance_kid: Option<String>,
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
        alliance_signing_key: args
            .alliance_signing_key
            .unwrap_or(defaults.alliance_signing_key),
        alliance_kid: args.alliance_kid.unwrap_or(defaults.alliance_kid),
        seed: args.seed,
        ..defaults
    };
    let signals = Signals::caught()?;
    let sandbox = Sandbox::start(settings.clone()).map_err(|error| match error {
        SandboxError::Io(_) => Failure::unwell(error),
        _ => Failure::wrong(error),
    })?;
    tell(&sandbox, &settings)?;
    signals.wait();
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

/// What programs' settings need, and what there is to try.
fn tell(sandbox: &Sandbox, settings: &SandboxSettings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "The other side on this machine. It is neither Mastercard nor a bank."
    )?;
    writeln!(out, "Programs that call it, for tokenkeep.toml:")?;
    tell_programs(&mut out, sandbox, settings)?;
    tell_cards(&mut out, sandbox)?;
    tell_tokens(&mut out, sandbox)
}

fn tell_programs(
    out: &mut impl Write,
    sandbox: &Sandbox,
    settings: &SandboxSettings,
) -> io::Result<()> {
    let signing_key = settings.signing_key.to_string_lossy();
    let shop = [
        ("kind", "mastercard-checkout"),
        ("base_url", &sandbox.base_url()),
        ("verification_url", &sandbox.verification_url()),
        ("src_client_id", CLIENT_ID),
        ("service_id", &settings.service_id),
        ("consumer_key", "sandbox"),
        ("signing_key", &signing_key),
    ];
    let issuer = [
        ("kind", "mastercard-processing"),
        ("base_url", &sandbox.processing_url()),
        ("consumer_key", "sandbox"),
        ("signing_key", &signing_key),
        ("encryption_key", "encryption/sandbox.pem"),
    ];
    let bank = [
        ("kind", "alliance"),
        ("base_url", &sandbox.alliance_url()),
        ("kid", &settings.alliance_kid),
        (
            "signing_key",
            &settings.alliance_signing_key.to_string_lossy(),
        ),
        ("verification_keys", "verification/alliance/sandbox.json"),
    ];
    let programs = [
        ("shop", &shop[..]),
        ("issuer", &issuer[..]),
        ("bank", &bank[..]),
    ];
    for (name, members) in programs {
        writeln!(out, "\n  [programs.{name}]")?;
        for (name, value) in members {
            writeln!(out, "  {name} = {}", toml::Value::from(*value))?;
        }
    }
    Ok(())
}

fn tell_cards(out: &mut impl Write, sandbox: &Sandbox) -> io::Result<()> {
    let cards = format!("http://{}/sandbox/cards", sandbox.address());
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

fn tell_tokens(out: &mut impl Write, sandbox: &Sandbox) -> io::Result<()> {
    let contracts = format!("http://{}/sandbox/contracts", sandbox.address());
    let tokens = format!("http://{}/sandbox/bank-tokens", sandbox.address());
    writeln!(
        out,
        r#"
The issuer's card contracts, listed at {contracts}: 70001 has the
token 5598765432109876 and another one, the token of 90001 is deactivated. They change with

  curl -X POST {contracts}/70001/status/05      suspends the active tokens
  curl -X POST {contracts}/70001/relink/70002   moves the tokens to another contract

The bank's tokens, listed at {tokens}: -s9UCfCNN0YMk4ZOyZX8pWAt
of customer-1 is one of them. There come others, and they change, with

  curl -X POST {tokens} -d '{{"customerId":"customer-1"}}'
  curl -X POST {tokens}/TOKEN/state/STATE

where STATE is ACTIVE, SUSPENDED, OBSOLETE or DELETED."#
    )
}

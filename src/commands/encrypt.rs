//! `encrypt`: makes what Mastercard would send, from plain JSON.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::jose::{encrypt, json::parse};

#[derive(Args)]
pub struct EncryptArgs {
    /// Plain JSON; - reads standard input [default: -]
    file: Option<PathBuf>,
    /// PEM of the recipient: public key, certificate, or private key (its public half is used)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// kid of the header [default: none]
    #[arg(long)]
    kid: Option<String>,
    /// Content encryption: A128GCM, A192GCM, A256GCM or A128CBC-HS256
    #[arg(long, default_value = "A128GCM")]
    enc: String,
    /// Length of the IV in bytes: 12, or 16 as Mastercard's own library writes
    #[arg(long, default_value_t = 12)]
    iv: usize,
    /// Print a fully encrypted notification body instead of the JWE alone
    #[arg(long)]
    body: bool,
}

pub fn run(args: EncryptArgs) -> Result<(), Failure> {
    let unreadable = |path: &PathBuf, error: io::Error| {
        Failure::wrong(format!(
            "{}: cannot be read: {}",
            path.display(),
            error.kind()
        ))
    };
    let mut plaintext = Zeroizing::new(Vec::new());
    match args.file.as_ref().filter(|path| *path != Path::new("-")) {
        Some(path) => {
            *plaintext = std::fs::read(path).map_err(|error| unreadable(path, error))?;
        }
        None => {
            io::stdin().read_to_end(&mut plaintext)?;
        }
    }
    parse(&plaintext).map_err(|fault| Failure::wrong(format!("the input is {fault}")))?;
    let key = std::fs::read(&args.key).map_err(|error| unreadable(&args.key, error))?;
    let token = encrypt(&plaintext, &key, args.kid.as_deref(), &args.enc, args.iv)
        .map_err(Failure::wrong)?;
    match args.body {
        true => println!(
            "{:#}",
            json!({ "encryptedDigitalCardUpdateNotifications": token })
        ),
        false => println!("{token}"),
    }
    Ok(())
}

//! `migrate --to URL`: moves everything into another, empty database.

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::failure::Failure;
use super::tables::{print_json, print_table, progress_style};
use super::{Common, operator};
use crate::jose::StorageKeys;
use crate::settings::holds_password;
use crate::store::{DatabaseUrl, MoveError, Moving};
use crate::telemetry::Clock;

/// Where `--to` may stand too: with a password only here.
const TO: &str = "TOKENKEEP_MIGRATE_TO";

#[derive(Args)]
pub struct MigrateArgs {
    /// The empty database: a path, sqlite://PATH or postgres://… (a password belongs into the
    /// environment)
    #[arg(long, value_name = "URL", env = TO, hide_env_values = true)]
    to: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(common: &Common, args: &MigrateArgs) -> Result<(), Failure> {
    let is_argument = std::env::var(TO).ok().as_ref() != Some(&args.to);
    if is_argument && holds_password(&args.to) {
        return Err(Failure::wrong(format!(
            "--to holds a password, which every process of this machine could read; set {TO} instead"
        )));
    }
    let settings = common.settings(Vec::new())?;
    let keys = StorageKeys::load(&settings.keys).map_err(Failure::wrong)?;
    let from = DatabaseUrl::parse(&settings.database_url).map_err(Failure::wrong)?;
    let to = DatabaseUrl::parse(&args.to).map_err(Failure::wrong)?;
    if let DatabaseUrl::Sqlite(path) = &from
        && !path.exists()
    {
        return Err(Failure::wrong(format!("{from}: there is no such file")));
    }
    let bar = ProgressBar::new(0).with_style(progress_style("rows"));
    let moving = Moving {
        from: &from,
        to: &to,
        keys: &keys,
        actor: &operator(),
        writer: &Uuid::now_v7().to_string(),
    };
    let moved = moving.run(Clock::system().now(), &mut |all, arrived| {
        bar.set_length(all);
        bar.set_position(arrived);
    });
    bar.finish_and_clear();
    let moved = moved.map_err(|error| match error {
        MoveError::NotEmpty(..) => Failure::wrong(error),
        error => Failure::unwell(error),
    })?;
    if args.json {
        let rows = moved.into_iter().map(|(table, rows)| (table, rows.into()));
        let rows = Map::<String, Value>::from_iter(rows);
        return Ok(print_json(&json!({ "to": to.to_string(), "rows": rows }))?);
    }
    let cells = |(table, rows): (String, u64)| vec![table, rows.to_string()];
    print_table(&["TABLE", "ROWS"], moved.into_iter().map(cells))?;
    println!("moved to {to}; what is left behind is under maintenance, and may be removed");
    Ok(())
}

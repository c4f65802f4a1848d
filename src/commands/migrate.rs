//! `migrate`: brings the database's schema up to date, or moves everything into another database.

use std::io;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::tables::{print_json, print_table, progress_style};
use super::{Common, open_store, refuse_in_clear, user};
use crate::audit::Act;
use crate::jose::StorageKeys;
use crate::settings::Settings;
use crate::store::{DatabaseUrl, Entry, MoveError, Moving, Store};
use crate::telemetry::Clock;

#[derive(Args)]
pub struct MigrateArgs {
    /// The empty database that everything moves to: a path, sqlite://PATH or postgres://…; - reads
    /// it from standard input, where it may hold a password
    #[arg(long, value_name = "URL", allow_hyphen_values = true)]
    to: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(common: &Common, args: &MigrateArgs) -> Result<(), Failure> {
    let settings = common.settings(Vec::new())?;
    match &args.to {
        None => update_schema(&settings, args.json),
        Some(to) => move_everything(&settings, &address(to)?, args.json),
    }
}

fn update_schema(settings: &Settings, as_json: bool) -> Result<(), Failure> {
    let url = DatabaseUrl::parse(&settings.database_url).map_err(Failure::wrong)?;
    let steps = Store::migrate(&url)?;
    let store = open_store(settings)?;
    if steps > 0 {
        let entry = Entry {
            act: Act::SchemaMigrated,
            object: "schema",
            outcome: "done",
            details: json!({ "steps": steps, "version": env!("CARGO_PKG_VERSION") }),
            at: Clock::system().now(),
        };
        store.write(|tx| tx.audit(entry))?;
    }
    let location = store.location();
    if as_json {
        return Ok(print_json(
            &json!({ "database": location, "steps": steps }),
        )?);
    }
    println!("{location} is up to date; steps taken: {steps}");
    Ok(())
}

/// The address that was given, or what standard input says.
fn address(to: &str) -> Result<Zeroizing<String>, Failure> {
    if to == "-" {
        let text = io::read_to_string(io::stdin()).map(Zeroizing::new)?;
        return Ok(Zeroizing::new(text.trim().to_owned()));
    }
    if DatabaseUrl::parse(to).is_ok_and(|url| url.holds_password()) {
        return Err(Failure::wrong(
            "--to holds a password, which every process of this machine could read: give - and the \
             address on standard input",
        ));
    }
    Ok(Zeroizing::new(to.to_owned()))
}

fn move_everything(settings: &Settings, to: &str, as_json: bool) -> Result<(), Failure> {
    let target = Settings {
        database_url: to.to_owned(),
        ..settings.clone()
    };
    refuse_in_clear(&target)?;
    let from = DatabaseUrl::parse(&settings.database_url).map_err(Failure::wrong)?;
    let to = DatabaseUrl::parse(to).map_err(Failure::wrong)?;
    if let DatabaseUrl::Sqlite(path) = &from
        && !path.exists()
    {
        return Err(Failure::wrong(format!("{from}: there is no such file")));
    }
    // What is looked at before every command: the schema, the clock, the keys. The move itself wants
    // to be alone.
    drop(open_store(settings)?);
    let keys = StorageKeys::load(&settings.keys).map_err(Failure::wrong)?;
    let bar = ProgressBar::new(0).with_style(progress_style("rows"));
    let moving = Moving {
        from: &from,
        to: &to,
        keys: &keys,
        actor: &user::actor(),
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
    if as_json {
        let rows = moved.into_iter().map(|(table, rows)| (table, rows.into()));
        let rows = Map::<String, Value>::from_iter(rows);
        return Ok(print_json(&json!({ "to": to.to_string(), "rows": rows }))?);
    }
    let cells = |(table, rows): (String, u64)| vec![table, rows.to_string()];
    print_table(&["TABLE", "ROWS"], moved.into_iter().map(cells))?;
    println!("moved to {to}; what is left behind is under maintenance, and may be removed");
    Ok(())
}

//! `demo`
use super::{Common, failure::Failure};
#[derive(clap::Args)]
pub struct DemoArgs {}
pub fn run(_: &Common, _: DemoArgs) -> Result<(), Failure> {
    Ok(())
}

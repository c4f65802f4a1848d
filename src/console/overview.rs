//! The overview: what needs a human now, and how the last hour was.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::Console;
use super::attention::{Attention, attention};
use super::guard::SignedIn;
use super::missed::{self, Findings};
use super::page::{Fault, Frame, html, lasting};
use super::plot::{MINUTES, Plot};
use crate::dispatcher::LaneView;
use crate::domain::MissedRules;
use crate::store::{InMinute, LATEST, StoreError, Stuck, Tx};
use crate::telemetry::Trouble;

const SECTION: &str = "Overview";
const MINUTE_MS: i64 = 60_000;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    attention: Vec<Attention>,
    figures: Vec<Figure>,
    plots: [Plot; 3],
    /// Whether more happened in the hour than was counted.
    is_cut: bool,
    cards: Vec<(String, i64)>,
    programs: Vec<LaneView>,
}

/// One number, with what it is.
struct Figure {
    name: &'static str,
    value: String,
}

/// What the database says.
struct Read {
    stuck: Stuck,
    accepted: Vec<InMinute>,
    decided: Vec<InMinute>,
    /// Milliseconds from receipt to decision, ascending.
    times: Vec<i64>,
    cards: Vec<(Option<String>, i64)>,
    missed: Findings,
}

/// The page.
pub async fn show(
    signed_in: web::ReqData<SignedIn>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let (now, rules) = (console.api.clock.now(), console.api.missed.clone());
    let Read {
        stuck,
        accepted,
        decided,
        times,
        cards,
        missed,
    } = console.api.read(move |tx| read(tx, &rules, now)).await?;
    let programs = console.api.calls.lane_views();
    let workers = [&console.api.receiving, &console.api.processing];
    let troubles = workers.into_iter().flatten().filter_map(Trouble::current);
    let word = |status: Option<String>| status.unwrap_or_else(|| "unknown".to_owned());
    let cards = cards
        .into_iter()
        .map(|(status, count)| (word(status), count));
    let of = |counts: &[InMinute]| counts.iter().map(|minute| minute.count).sum::<i64>();
    html(&OverviewPage {
        frame: Frame::new(&signed_in, SECTION, SECTION),
        attention: attention(
            troubles,
            &stuck,
            &programs,
            &console.certificates(),
            missed::attention(&missed, now),
            now,
        ),
        figures: figures(&stuck, &times, now),
        is_cut: of(&accepted).max(of(&decided)) >= LATEST,
        plots: plots(&accepted, &decided, now),
        cards: cards.collect(),
        programs,
    })
}

fn read(tx: &mut Tx<'_>, rules: &MissedRules, now: i64) -> Result<Read, StoreError> {
    let since = (now / MINUTE_MS - MINUTES + 1) * MINUTE_MS;
    Ok(Read {
        stuck: tx.stuck()?,
        accepted: tx.accepted_by_minute(since)?,
        decided: tx.decided_by_minute(since)?,
        times: tx.times_to_apply(since)?,
        cards: tx.count_cards()?,
        missed: Findings::read(tx, rules, now)?,
    })
}

fn plots(accepted: &[InMinute], decided: &[InMinute], now: i64) -> [Plot; 3] {
    let held = ["parked", "quarantined"];
    let last = now / MINUTE_MS;
    [
        Plot::new("Deliveries accepted", accepted, &["accepted"], last),
        Plot::new("Notifications applied", decided, &["applied"], last),
        Plot::new("Parked or quarantined", decided, &held, last),
    ]
}

fn figures(stuck: &Stuck, times: &[i64], now: i64) -> Vec<Figure> {
    let none = || "none".to_owned();
    let time = |hundredths: usize| {
        let place = times.len().saturating_sub(1) * hundredths / 100;
        times.get(place).map_or_else(none, |time| lasting(*time))
    };
    let since = |at: Option<i64>| at.map_or_else(none, |at| lasting((now - at).max(0)));
    let calls = |state: &str| -> String {
        let of_state = stuck.calls.iter().filter(|(_, name, _)| *name == state);
        of_state.map(|(.., count)| count).sum::<i64>().to_string()
    };
    let figure = |name, value| Figure { name, value };
    vec![
        figure("deliveries wait to be decided", stuck.backlog.to_string()),
        figure("the oldest of them waits", since(stuck.waiting_since)),
        figure("from receipt to applied, half of them", time(50)),
        figure("from receipt to applied, 99 of 100", time(99)),
        figure("calls wait", calls("waiting")),
        figure("calls are parked", calls("parked")),
        figure("calls were given up (dead)", calls("dead")),
        figure(
            "the oldest unconfirmed deletion",
            since(stuck.deleting_since),
        ),
    ]
}

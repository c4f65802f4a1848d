//! The overview: what needs a human now, and how the last hour was.

use actix_web::{HttpResponse, web};
use askama::Template;

use super::Console;
use super::guard::SignedIn;
use super::page::{Fault, Frame, html, lasting};
use super::plot::{MINUTES, Plot};
use crate::dispatcher::{LaneView, Stop};
use crate::store::{InMinute, LATEST, StoreError, Stuck, Tx};

const SECTION: &str = "Overview";
const MINUTE_MS: i64 = 60_000;
/// Deliveries are decided within seconds; a deletion is confirmed within an hour.
const LATE_DECISION_MS: i64 = 60_000;
const LATE_DELETION_MS: i64 = 60 * MINUTE_MS;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    attention: Vec<Attention>,
    figures: Vec<Figure>,
    plots: Vec<Plot>,
    /// Whether more happened in the hour than was counted.
    is_cut: bool,
    cards: Vec<(String, i64)>,
    programs: Vec<LaneView>,
}

/// Something that needs a human.
struct Attention {
    what: String,
    /// Where it can be looked at.
    place: String,
    is_urgent: bool,
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
}

/// The page.
pub async fn show(
    signed_in: web::ReqData<SignedIn>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let now = console.api.clock.now();
    let Read {
        stuck,
        accepted,
        decided,
        times,
        cards,
    } = console.api.read(move |tx| read(tx, now)).await?;
    let programs = console.api.calls.lane_views();
    let word = |status: Option<String>| status.unwrap_or_else(|| "unknown".to_owned());
    let cards = cards
        .into_iter()
        .map(|(status, count)| (word(status), count));
    let of = |counts: &[InMinute]| counts.iter().map(|minute| minute.count).sum::<i64>();
    html(&OverviewPage {
        frame: Frame::new(&signed_in, SECTION, SECTION),
        attention: console.attention(&stuck, &programs, now),
        figures: figures(&stuck, &times, now),
        is_cut: of(&accepted).max(of(&decided)) >= LATEST,
        plots: plots(&accepted, &decided, now),
        cards: cards.collect(),
        programs,
    })
}

fn read(tx: &mut Tx<'_>, now: i64) -> Result<Read, StoreError> {
    let since = (now / MINUTE_MS - MINUTES + 1) * MINUTE_MS;
    Ok(Read {
        stuck: tx.stuck()?,
        accepted: tx.accepted_by_minute(since)?,
        decided: tx.decided_by_minute(since)?,
        times: tx.times_to_apply(since)?,
        cards: tx.count_cards()?,
    })
}

fn plots(accepted: &[InMinute], decided: &[InMinute], now: i64) -> Vec<Plot> {
    let plot = |title, counts: &[InMinute], words: &[&str]| {
        let fits = |minute: &&InMinute| words.contains(&&*minute.what);
        let mut by_minute = std::collections::BTreeMap::<i64, i64>::new();
        for minute in counts.iter().filter(fits) {
            *by_minute.entry(minute.minute).or_default() += minute.count;
        }
        Plot::new(title, now / MINUTE_MS, by_minute.into_iter())
    };
    vec![
        plot("Deliveries accepted", accepted, &["accepted"]),
        plot("Notifications applied", decided, &["applied"]),
        plot("Parked or quarantined", decided, &["parked", "quarantined"]),
    ]
}

fn figures(stuck: &Stuck, times: &[i64], now: i64) -> Vec<Figure> {
    // The greatest of the lower nine tenths, or ninety-nine hundredths.
    let part = |hundredths: usize| {
        times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1)))
    };
    let time =
        |hundredths| part(hundredths).map_or_else(|| "none".to_owned(), |time| lasting(*time));
    let since =
        |at: Option<i64>| at.map_or_else(|| "none".to_owned(), |at| lasting((now - at).max(0)));
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

impl Console {
    /// What needs a human, the most urgent first.
    fn attention(&self, stuck: &Stuck, programs: &[LaneView], now: i64) -> Vec<Attention> {
        let mut all = Vec::new();
        let mut urgent = |what: String, place: &str| {
            let place = place.to_owned();
            all.push(Attention {
                what,
                place,
                is_urgent: true,
            });
        };
        if let Some(trouble) = self.api.trouble.current() {
            urgent(
                format!("Nothing is processed: {trouble}."),
                "/console/notifications",
            );
        }
        let waits = stuck.waiting_since.map(|since| now - since);
        if let Some(waits) = waits.filter(|waits| *waits > LATE_DECISION_MS) {
            let lasting = lasting(waits);
            urgent(
                format!("A delivery has waited {lasting} to be decided."),
                "/console/notifications",
            );
        }
        for program in programs {
            let outbox = "/console/outbox?state=waiting";
            match program.stop {
                Some(Stop::Failing) => urgent(
                    format!(
                        "{} does not work: its calls are held back.",
                        program.program
                    ),
                    outbox,
                ),
                Some(Stop::Denied) => urgent(
                    format!(
                        "{} refuses our credential: its calls are held back.",
                        program.program
                    ),
                    outbox,
                ),
                None => {}
            }
        }
        let deleting = stuck.deleting_since.map(|since| now - since);
        if let Some(deleting) = deleting.filter(|deleting| *deleting > LATE_DELETION_MS) {
            let lasting = lasting(deleting);
            let what = format!("A deletion is not confirmed since {lasting}.");
            urgent(what, "/console/outbox?kind=delete_card");
        }
        for warning in self
            .certificates()
            .iter()
            .filter_map(super::keys::Key::warning)
        {
            urgent(warning, "/console/keys");
        }
        all.extend(piles(stuck));
        all
    }
}

/// What lies there until somebody looks at it.
fn piles(stuck: &Stuck) -> impl Iterator<Item = Attention> + '_ {
    let held = stuck.held.iter().map(|(verdict, hold, count)| Attention {
        what: match hold {
            Some(hold) => format!("Notifications {verdict}, {hold}: {count}"),
            None => format!("Notifications {verdict}: {count}"),
        },
        place: format!("/console/notifications?verdict={verdict}"),
        is_urgent: false,
    });
    let needs =
        |(_, state, count): &&(&str, &str, i64)| *count > 0 && ["parked", "dead"].contains(state);
    let calls = stuck.calls.iter().filter(needs);
    let calls = calls.map(|(kind, state, count)| Attention {
        what: format!("Calls {state}, {kind}: {count}"),
        place: format!("/console/outbox?state={state}&kind={kind}"),
        is_urgent: *state == "dead",
    });
    held.chain(calls)
}

//! What seems to have been missed: on the overview, and the cards of each kind.

use actix_web::HttpResponse;
use askama::Template;

use super::Console;
use super::attention::Attention;
use super::guard::SignedIn;
use super::page::{Fault, Frame, ROWS, html, lasting};
use crate::api::refusals::WRONG_QUERY;
use crate::api::views::next;
use crate::domain::{Missed, MissedRules};
use crate::store::{
    MOST_COUNTED, MissedCard, MissedCursor, SilentProgram, SilentPrograms, StoreError, Tx,
};

/// What there is now.
pub struct Findings {
    cards: Vec<(Missed, i64)>,
    /// Cards that are not judged yet.
    unjudged: i64,
    silent: SilentPrograms,
}

impl Findings {
    pub fn read(tx: &mut Tx<'_>, rules: &MissedRules, now: i64) -> Result<Self, StoreError> {
        Ok(Self {
            cards: tx.count_missed(rules, now)?,
            unjudged: tx.count_unjudged()?,
            silent: tx.silent_programs(rules, now)?,
        })
    }
}

/// What of it needs a human.
pub fn attention(findings: &Findings, now: i64) -> Vec<Attention> {
    let silent = match &findings.silent {
        SilentPrograms::Judged(silent) => silent.iter().map(|it| silence(it, now)).collect(),
        SilentPrograms::NotCounted => vec![Attention {
            what: "Whether programs are silent is not judged: the latest hours are not counted"
                .to_owned(),
            place: "/console/notifications".to_owned(),
            is_urgent: false,
        }],
        SilentPrograms::NotAsked => Vec::new(),
    };
    let unjudged = (findings.unjudged > 0).then(|| Attention {
        what: format!(
            "Cards not judged yet whether something was missed: {}",
            told(findings.unjudged)
        ),
        place: "/console/cards".to_owned(),
        is_urgent: false,
    });
    let cards = findings.cards.iter().filter(|(_, count)| *count > 0);
    let cards = cards.map(|(kind, count)| Attention {
        what: format!(
            "Cards {}, {}: {}",
            kind.name(),
            kind.meaning(),
            told(*count)
        ),
        place: format!("/console/cards?missed={}", kind.name()),
        // A token that has ended cannot be charged; the others stay as they are.
        is_urgent: *kind == Missed::TokenExpires,
    });
    silent.into_iter().chain(cards).chain(unjudged).collect()
}

fn silence(SilentProgram { program, silence }: &SilentProgram, now: i64) -> Attention {
    Attention {
        what: format!(
            "{program} tells of little: {} lately, {} on a usual day, the last {} ago",
            silence.lately,
            silence.usual,
            lasting((now - silence.since).max(0)),
        ),
        place: "/console/notifications".to_owned(),
        is_urgent: true,
    }
}

/// A count, which ends at some number.
fn told(count: i64) -> String {
    match count < MOST_COUNTED {
        true => count.to_string(),
        false => format!("{MOST_COUNTED} or more"),
    }
}

#[derive(Template)]
#[template(path = "missed.html")]
struct ListPage {
    frame: Frame,
    kind: Missed,
    cards: Vec<MissedCard>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// The cards of a kind, those that are longest so first.
pub async fn list(
    signed_in: &SignedIn,
    console: &Console,
    kind: &str,
    after: Option<&str>,
) -> Result<HttpResponse, Fault> {
    let Some(kind) = Missed::of_name(kind) else {
        return Err(WRONG_QUERY.because("there is no such kind").into());
    };
    let after = match after.map(MissedCursor::parse) {
        Some(None) => {
            return Err(WRONG_QUERY.because("the place is none of a list").into());
        }
        after => after.flatten(),
    };
    let (now, rules) = (console.api.clock.now(), console.api.missed.clone());
    let cards = console
        .api
        .read(move |tx| tx.missed_cards(kind, &rules, now, after.as_ref(), ROWS))
        .await?;
    html(&ListPage {
        frame: Frame::new(signed_in, "Cards", format!("Cards: {}", kind.meaning())),
        next: next(&cards, ROWS, |card| card.cursor.to_string()),
        kind,
        cards,
    })
}

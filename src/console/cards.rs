//! Cards: search, and one card as it stands, with everything that happened to it.

use actix_web::{HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::Console;
use super::guard::SignedIn;
use super::missed;
use super::page::{Fault, Frame, ROWS, html, wanted};
use crate::api::query::{card_id, no_control};
use crate::api::readiness::Readiness;
use crate::api::refusals::UNKNOWN_CARD;
use crate::api::timeline::cursor;
use crate::api::views::{Card, Timeline, next};
use crate::domain::Missed;
use crate::store::{CardFilter, StoreError, Tx};

const SECTION: &str = "Cards";
/// The words of the form, as the store has them, and the one for cards of which no status is known.
const STATUSES: [&str; 6] = [
    "ACTIVE",
    "SUSPENDED",
    "DELETE_PENDING",
    "CANCELLED",
    "DELETED",
    UNKNOWN,
];
const UNKNOWN: &str = "unknown";
/// Last four digits are sealed, or shown only of some cards: they are looked for card by card, in so many
/// cards at a time.
const LOOKED_THROUGH: i64 = 2000;

/// What is searched for, as the form sends it.
#[derive(Deserialize)]
pub struct Search {
    id: Option<String>,
    consumer: Option<String>,
    last_four: Option<String>,
    status: Option<String>,
    /// A kind of what seems to have been missed; nothing else is searched for then.
    missed: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "cards.html")]
struct ListPage {
    frame: Frame,
    search: Search,
    found: Found,
}

/// A page of what was found.
struct Found {
    cards: Vec<Card>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// Those that a search finds, by ascending id.
pub async fn list(
    signed_in: web::ReqData<SignedIn>,
    search: web::Query<Search>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let search = search.into_inner().tidied()?;
    if let Some(kind) = &search.missed {
        return missed::list(&signed_in, &console, kind, search.after.as_deref()).await;
    }
    let id = search.id.as_deref().map(card_id).transpose()?;
    let (filter, digits) = (search.filter(), search.last_four.clone());
    let found = console.api.read(move |tx| match id {
        Some(id) => Ok(Found {
            cards: tx.card(&id)?.iter().map(Card::from).collect(),
            next: None,
        }),
        None => find(tx, &filter, digits.as_deref()),
    });
    let found = found.await?;
    html(&ListPage {
        frame: Frame::new(&signed_in, SECTION, SECTION),
        search,
        found,
    })
}

impl Search {
    /// Without what was left empty; nothing in it that cannot be asked for.
    fn tidied(self) -> Result<Self, Fault> {
        let tidied = Self {
            id: wanted(self.id),
            consumer: wanted(self.consumer),
            last_four: wanted(self.last_four),
            status: wanted(self.status),
            missed: wanted(self.missed),
            after: wanted(self.after),
        };
        let texts = [
            &tidied.consumer,
            &tidied.last_four,
            &tidied.status,
            &tidied.after,
        ];
        for text in texts {
            no_control(text.as_deref())?;
        }
        Ok(tidied)
    }

    fn filter(&self) -> CardFilter {
        let known = |word: &String| (word != UNKNOWN).then(|| word.clone());
        CardFilter {
            consumer_reference: self.consumer.clone(),
            status: self.status.as_ref().map(known),
            with_ended: true,
            after: self.after.clone(),
            limit: match self.last_four {
                Some(_) => LOOKED_THROUGH,
                None => ROWS,
            },
            ..CardFilter::default()
        }
    }
}

/// The cards of a page. Digits are compared with those that are shown, so that a search finds out nothing
/// that a look does not.
fn find(tx: &mut Tx<'_>, filter: &CardFilter, digits: Option<&str>) -> Result<Found, StoreError> {
    let rows = tx.list_cards(filter)?;
    let next = next(&rows, filter.limit, |row| row.card.id.to_string());
    let cards = rows.iter().map(Card::from);
    let cards = cards.filter(|card| digits.is_none_or(|digits| ends_in(card, digits)));
    Ok(Found {
        cards: cards.collect(),
        next,
    })
}

fn ends_in(card: &Card, digits: &str) -> bool {
    let of_tokens = card.tokens.iter().map(|token| &token.last_four);
    let of_token = card.token.iter().map(|token| &token.last_four);
    let of_card = card.display.pan_last_four.iter();
    of_tokens
        .chain(of_token)
        .chain(of_card)
        .any(|four| four == digits)
}

#[derive(Deserialize)]
pub struct Place {
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "card.html")]
struct CardPage {
    frame: Frame,
    card: Card,
    /// None once it has ended.
    readiness: Option<Readiness>,
    /// What seems to have been missed of it, and since when.
    missed: Vec<(Missed, i64)>,
    is_first_page: bool,
    timeline: Timeline,
}

/// One of them.
pub async fn show(
    signed_in: web::ReqData<SignedIn>,
    id: web::Path<String>,
    place: web::Query<Place>,
    console: web::Data<Console>,
) -> Result<HttpResponse, Fault> {
    let id = card_id(&id)?;
    let after = cursor(place.after.as_deref())?;
    let (now, is_first_page) = (console.api.clock.now(), after.is_none());
    let rules = console.api.missed.clone();
    let read = console.api.read(move |tx| {
        let Some(row) = tx.card(&id)? else {
            return Ok(None);
        };
        let readiness = match row.card.terminal {
            None => Some(Readiness::read(tx, &row.card, now, None)?),
            Some(_) => None,
        };
        let missed = tx.missed_of(&id, &rules, now)?;
        let moments = tx.timeline(&id, after.as_ref(), ROWS)?;
        Ok(Some((
            Card::from(&row),
            readiness,
            missed,
            Timeline::new(&moments, ROWS),
        )))
    });
    let (card, readiness, missed, timeline) = read.await?.ok_or(UNKNOWN_CARD)?;
    html(&CardPage {
        frame: Frame::new(&signed_in, SECTION, format!("Card {}", card.card_id)),
        card,
        readiness,
        missed,
        is_first_page,
        timeline,
    })
}

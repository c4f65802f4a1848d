//! The judge of every test of faults: what senders wrote down, what the database holds, and what follows from the rules.
//!
//! * Whatever was acknowledged is among the deliveries once, and nothing is that was not sent; what was sent and not
//!   acknowledged may be there once or not.
//! * Each notification was decided once, its repeats as such; the cards are where the order-free model of `tests/domain`
//!   has them, fed with each notification once.
//! * Of each version of a card's number there was one call for a cryptogram at most, but for those that a suspension
//!   made necessary again; none was made again without a process that died meanwhile.
//! * The database's own check, `audit verify` and recomputing every card find nothing.
//!
//! It reads beside the service and without the store's code.

mod killed;
mod notifications;
mod reader;
mod sender;

#[path = "../../../domain/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the rules' own tests use the rest"
)]
mod rules;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::json;
use tokenkeep::domain::Policy;
use tokenkeep::sandbox::{Operation, Sandbox};
use tokenkeep::settings::Settings;

pub use killed::Killed;
pub use sender::{Answered, Load, Sandboxes, Told, slowest};

use super::TestDatabase;
use super::audit::store;
use super::calls::{SERVICE, program};
use super::commands::tokenkeep;
use super::rebuilt::assert_rebuilt;
use super::sql::sql;
use notifications::Notification;
use reader::Kept;
use rules::item::Item;
use rules::model::end_state;

/// What each card was told, each notification once.
type Histories = BTreeMap<String, Vec<Item>>;

/// Waits until everything kept is decided, and judges. Returns the figures.
pub fn judge(database: &TestDatabase, told: &Told) -> String {
    judge_with(database, told, None)
}

/// The same, where calls were made: all of them are over.
fn judge_with(database: &TestDatabase, told: &Told, killed: Option<&Killed<'_>>) -> String {
    wait_until_decided(database);
    let sent = told.read();
    let kept = reader::marks(database);
    let acknowledged = Vec::from_iter(sent.iter().filter(|(_, is)| **is).map(|(mark, _)| mark));
    let lost = acknowledged
        .iter()
        .filter(|mark| !kept.contains_key(**mark));
    let lost = Vec::from_iter(lost);
    let is_too_much = |(mark, count): &(&String, &usize)| **count > 1 || !sent.contains_key(*mark);
    let too_much = kept.iter().filter(is_too_much);
    let mut doubled = Vec::from_iter(too_much.map(|(mark, count)| format!("{mark} {count} times")));

    let mut deliveries: BTreeMap<usize, usize> = BTreeMap::new();
    for mark in kept.keys() {
        *deliveries.entry(sender::number_of(mark)).or_default() += 1;
    }
    let mut histories = Histories::new();
    for number in deliveries.keys() {
        let Notification { card, item, .. } = Notification::numbered(*number);
        histories.entry(card).or_default().push(item);
    }
    let cards = reader::cards(database);
    doubled.extend(decided_wrongly(database, &deliveries));
    doubled.extend(changed_too_often(&histories, &cards));
    doubled.extend(asked_too_often(database, &histories));
    let mut calls = String::new();
    if let Some(killed) = killed {
        doubled.extend(called_again(database, killed, &mut calls));
    }
    let figures = format!(
        "{} sent, {} acknowledged, {} lost, {} doubled, {} cards as the model has them{calls}",
        sent.len(),
        acknowledged.len(),
        lost.len(),
        doubled.len(),
        cards.len()
    );
    assert!(
        lost.is_empty() && doubled.is_empty(),
        "{figures}: {lost:?}, {doubled:#?}"
    );
    assert_as_model(&histories, &cards, killed.is_some());
    assert_sound(database, killed.map(|killed| &killed.sandboxes[0]));
    figures
}

/// The database's own check finds nothing, nor does that of the audit, and every card is what its inputs lead to by
/// the rules of a service that called this sandbox, if any.
pub fn assert_sound(database: &TestDatabase, called: Option<&Sandbox>) {
    reader::assert_whole(database);
    assert_rebuilt(&store(database), policy(called));
    let audit = tokenkeep(database, &["audit", "verify"]);
    assert_eq!(audit.code, 0, "{}{}", audit.stdout, audit.stderr);
}

fn policy(called: Option<&Sandbox>) -> Policy {
    let mut settings = Settings::defaults().unwrap();
    if let Some(sandbox) = called {
        let shop = program(&sandbox.base_url(), SERVICE, &json!({}));
        settings.programs.insert("shop".to_owned(), shop);
    }
    settings.policy()
}

/// However much there is: as long as it becomes less.
fn wait_until_decided(database: &TestDatabase) {
    let (mut least, mut progress) = (usize::MAX, Instant::now());
    while least > 0 {
        let waiting = sql(database).count("deliveries WHERE state = 'waiting'");
        if waiting < least {
            (least, progress) = (waiting, Instant::now());
        }
        assert!(
            progress.elapsed() < Duration::from_secs(30),
            "{least} wait to be decided"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Notifications that have other than one verdict for each delivery, or other than one that is no `duplicate`.
fn decided_wrongly(database: &TestDatabase, deliveries: &BTreeMap<usize, usize>) -> Vec<String> {
    let mut verdicts = reader::verdicts(database);
    let mut wrong = Vec::new();
    for (number, count) in deliveries {
        let Notification { card, item, .. } = Notification::numbered(*number);
        let verdicts = verdicts.remove(&(card.clone(), item.time.unwrap()));
        let verdicts = verdicts.unwrap_or_default();
        let repeats = verdicts.iter().filter(|verdict| *verdict == "duplicate");
        if (verdicts.len(), repeats.count() + 1) != (*count, *count) {
            wrong.push(format!(
                "{card}, {count} deliveries: {verdicts:?}, {item:?}"
            ));
        }
    }
    wrong.extend(verdicts.keys().map(|of| format!("never sent: {of:?}")));
    wrong
}

/// Cards whose token changed oftener than they were told, or that were not told of at all.
fn changed_too_often(histories: &Histories, cards: &BTreeMap<String, Kept>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (card, kept) in cards {
        let items = histories.get(card).map(Vec::as_slice).unwrap_or_default();
        let refreshes = items.iter().filter(|item| item.refresh.is_some()).count() as u64;
        let least = u64::from(kept.state.token.is_some());
        let (version, number_version) = kept.versions;
        if items.is_empty() || !(least..=refreshes).contains(&version) || version != number_version
        {
            wrong.push(format!(
                "{card} changed {:?} times: {items:?}",
                kept.versions
            ));
        }
    }
    wrong
}

/// Versions of numbers that had more calls for a cryptogram than they needed, and calls that nothing needs.
fn asked_too_often(database: &TestDatabase, histories: &Histories) -> Vec<String> {
    let suspended = rules::suspended(0).status;
    let mut wrong = reader::other_calls(database);
    for ((card, version), calls) in reader::cryptogram_calls(database) {
        let items = histories.get(&card).map(Vec::as_slice).unwrap_or_default();
        let suspensions = items.iter().filter(|item| item.status == suspended);
        if calls > 1 + suspensions.count() {
            wrong.push(format!("{card}, version {version}: {calls} jobs"));
        }
    }
    wrong
}

/// Cards for which more calls came than there were jobs, and deaths while one of them was open. It adds how many of
/// each there were.
fn called_again(database: &TestDatabase, killed: &Killed<'_>, figures: &mut String) -> Vec<String> {
    let mut allowed: HashMap<String, usize> = HashMap::new();
    let jobs = reader::jobs(database);
    for (card, open) in &jobs {
        let deaths = killed.deaths.iter().filter(|at| open.contains(at));
        *allowed.entry(card.clone()).or_default() += 1 + deaths.count();
    }
    let mut calls: HashMap<String, usize> = HashMap::new();
    let all = killed.sandboxes.iter().flat_map(Sandbox::calls);
    for call in all.filter(|call| call.operation == Operation::Checkout) {
        *calls.entry(call.card_id.unwrap()).or_default() += 1;
    }
    let count: usize = calls.values().sum();
    *figures += &format!(", {count} calls for {} jobs", jobs.len());
    let allowed = |card: &str| allowed.get(card).copied().unwrap_or_default();
    let too_many = calls.iter().filter(|(card, count)| **count > allowed(card));
    let too_many = too_many
        .map(|(card, count)| format!("{card}: {count} calls, {} are explained", allowed(card)));
    too_many.collect()
}

fn assert_as_model(histories: &Histories, cards: &BTreeMap<String, Kept>, is_answered: bool) {
    assert!(
        cards.keys().eq(histories.keys()),
        "other cards than were told of"
    );
    for (card, items) in histories {
        let expected = end_state(items, None, is_answered);
        assert_eq!(cards[card].state, expected, "{card}: {items:#?}");
    }
}

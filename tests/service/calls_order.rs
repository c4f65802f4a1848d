//! O-13: the commands of a card are carried out in the order in which they were given, whatever goes wrong
//! on the way, and no card waits for another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rstest::rstest;
use serde_json::json;
use tokenkeep::sandbox::Fault;
use tokenkeep::sandbox::Operation::SetTokenStatus;

use crate::support::calls::{LONGEST_WAIT, Shop};
use crate::support::issuer::CLIENT;
use crate::support::{Backend, SetOnDrop, is_full};

/// Cards, and commands for each: one for each of its tokens, so that none takes the place of another.
fn size() -> (usize, usize) {
    if is_full() { (200, 50) } else { (20, 10) }
}

/// What spoils some of the attempts: not carried out, carried out and not told, refused for now.
const FAULTS: [fn() -> Fault; 3] = [
    || Fault::Reset,
    || Fault::AnswerLost,
    || Fault::service_error(503),
];
/// So many attempts in a row fail, then as many and more do not: twenty in a row would stop the calls.
const IN_A_ROW: usize = 4;

/// What was seen of the calls while they were made.
#[derive(Default)]
struct Seen {
    /// Cards of which two calls ran at one moment.
    together: i64,
    /// The most cards of which a call ran at one moment.
    cards: i64,
}

fn number(card: usize, token: usize) -> String {
    format!("559876{card:04}{token:06}")
}

fn contract(card: usize) -> String {
    format!("8{card:05}")
}

/// Cards with their tokens, which are read here.
fn register(shop: &Shop) {
    let (cards, tokens) = size();
    for card in 0..cards {
        for token in 0..tokens {
            let number = number(card, token);
            shop.sandbox.add_token(&contract(card), CLIENT, &number);
        }
        let named = (0..tokens).map(|token| json!({ "tokenNumber": number(card, token) }));
        let registration = json!({ "program": "issuer", "tokens": Vec::from_iter(named) });
        let reply = shop.send_app("PUT", &contract(card), &registration);
        assert_eq!(reply.status, 201, "{}", reply.body);
    }
    shop.settle();
}

/// The token of a card's command of that place: every card has an order of its own.
fn token_of(card: usize, place: usize, tokens: usize) -> usize {
    // Coprime to the number of tokens, so that each comes once.
    (place * 7 + card) % tokens
}

fn give_all(shop: &Shop) {
    let (cards, tokens) = size();
    for place in 0..tokens {
        for card in 0..cards {
            let number = number(card, token_of(card, place, tokens));
            let reply = shop.command(&contract(card), "SUSPEND", Some(&number));
            assert_eq!(reply.status, 202, "{}", reply.body);
        }
    }
}

/// Spoils attempts until told to stop.
fn spoil(shop: &Shop, stop: &AtomicBool) {
    let mut made = 0;
    let mut round = 0;
    while !stop.load(Ordering::SeqCst) {
        if shop.sandbox.count(SetTokenStatus, None) >= made {
            for place in 0..IN_A_ROW {
                let fault = FAULTS[(round * 5 + place) % FAULTS.len()]();
                shop.sandbox.answer_next(SetTokenStatus, fault);
            }
            made += 3 * IN_A_ROW;
            round += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Looks at what runs until told to stop.
fn look(shop: &Shop, stop: &AtomicBool) -> Seen {
    let running = "SELECT card_id, count(*) AS calls FROM outbox WHERE state = 'running' \
                   AND kind = 'token_status' GROUP BY card_id";
    let cards = format!("SELECT count(*) AS number FROM ({running}) AS r");
    let mut seen = Seen::default();
    while !stop.load(Ordering::SeqCst) {
        let together = format!("{cards} WHERE calls > 1");
        seen.together += shop.app.database.number(&together);
        seen.cards = seen.cards.max(shop.app.database.number(&cards));
        std::thread::sleep(Duration::from_millis(20));
    }
    seen
}

/// Commands that are under way or could be: due, and the first that waits of their card.
fn ready(shop: &Shop) -> i64 {
    shop.app.database.number(&format!(
        "SELECT count(*) AS number FROM outbox o WHERE kind = 'token_status' \
         AND (state = 'running' OR (state = 'waiting' AND next_at <= {} AND NOT EXISTS \
         (SELECT 1 FROM outbox e WHERE e.card_id = o.card_id AND e.state = 'waiting' \
         AND e.command_order < o.command_order)))",
        shop.now()
    ))
}

/// Lets time pass until every command is done: what failed is made again after a while.
fn carry_out(shop: &Shop) -> Seen {
    let open =
        "SELECT count(*) AS number FROM outbox WHERE kind = 'token_status' AND state <> 'done'";
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let ends = SetOnDrop(&stop);
        threads.spawn(|| spoil(shop, &stop));
        let looking = threads.spawn(|| look(shop, &stop));
        while shop.app.database.number(open) > 0 {
            match ready(shop) {
                0 => shop.advance(LONGEST_WAIT),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        drop(ends);
        looking.join().unwrap()
    })
}

/// The order in which the tokens of a card were suspended there; a repeat after a lost answer counts once.
fn suspended(shop: &Shop, card: usize) -> Vec<String> {
    let done = shop.sandbox.carried_out(&contract(card)).into_iter();
    let mut tokens = Vec::from_iter(done.map(|(token, _)| token.unwrap()));
    tokens.dedup();
    tokens
}

/// Seen to fail without the condition on earlier commands in the claim (`claim_jobs`).
#[rstest]
fn o13_commands_of_a_card_are_carried_out_in_their_order_whatever_fails(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let shop = Shop::with_tokens_and(backend, &json!({ "concurrency": 16 }));
    let (cards, tokens) = size();
    register(&shop);
    // What is given is not begun yet: otherwise little would wait behind something that fails.
    shop.sandbox.hold(SetTokenStatus);
    give_all(&shop);
    shop.sandbox.release();
    let seen = carry_out(&shop);
    for card in 0..cards {
        let last_four = |place| number(card, token_of(card, place, tokens))[12..].to_owned();
        let given: Vec<String> = (0..tokens).map(last_four).collect();
        assert_eq!(suspended(&shop, card), given, "{}", contract(card));
    }
    assert_eq!(seen.together, 0, "two calls of a card at one moment");
    assert!(seen.cards > 4, "{} cards at most at one moment", seen.cards);
    let attempts = shop.sandbox.count(SetTokenStatus, None);
    let failed = attempts - cards * tokens;
    assert!(failed * 10 > attempts, "{failed} of {attempts} failed");
    println!(
        "O-13 on {backend:?}: {cards} cards x {tokens} commands, {attempts} attempts, {failed} failed, 0 out of order, {} cards at once",
        seen.cards
    );
}

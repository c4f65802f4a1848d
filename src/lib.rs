//! tokenkeep keeps a merchant's Mastercard card-on-file tokens fresh.
//!
//! # The rooms
//!
//! * [`commands`]: the command line, one file a command, and the service that `serve` and `demo` run.
//! * [`api`]: what the merchant's systems call, on a listener of its own; keys with roles.
//! * [`console`]: what merchant operations look at, in a browser: what came, what became of it, what is
//!   stuck; replays and calls in their hands. Pages of the API's listener, behind a sign-in with an ops key.
//! * [`receiver`]: `POST /notifications/card`. Keeps what comes durably, in the database or in a spool beside it,
//!   then answers. Never decrypts.
//! * [`processor`]: deliveries become verdicts: opens on all cores, decides in the order of arrival,
//!   one transaction a batch. Registrations go through the same decision, and so does recomputing a card.
//! * [`dispatcher`]: the outbox worker. Claims calls with lease and fence, makes them, applies what
//!   they answer; deletions, token commands, and credentials for a caller who waits.
//! * [`mastercard`]: the clients: OAuth 1.0a, Checkout and Card API, Processing Digital,
//!   what their errors mean.
//! * [`alliance`]: the client of Alliance Bank's token API: signed requests, and answers that count
//!   only if they are signed.
//! * [`upstream`]: one HTTP exchange with another side: agent, deadlines, whole answers, what a failure
//!   means for whoever wanted the call; the keys under which another side signs.
//! * [`sandbox`]: the other side, to try and to test against.
//! * [`store`]: the only room that touches diesel. SQLite and PostgreSQL behind one set of functions;
//!   seals and opens what must not be readable in the database; remembers which key each name stands for.
//! * [`notification`]: the wire form of a Card Notification, lenient on description, strict on
//!   identity and status.
//! * [`domain`]: the rules, pure. [`domain::decide()`] takes a card and an input and returns the card
//!   afterwards, a verdict with its rule, and the calls that have become necessary.
//! * [`audit`]: which acts are recorded, by whom and from where; pure. The store chains the records.
//! * [`jose`]: the only room that touches josekit: the guard in front of every key, the keyring, the
//!   opening of JWEs, the verifying of JWSs, the sealing of rows.
//! * [`settings`]: every setting with its default, its meaning, its check.
//! * [`telemetry`]: logs, metrics, what keeps a worker from its work, the clock and whether it can be believed.
//!
//! Arrows go down only: `commands → console → api → {receiver, processor, dispatcher, sandbox} → {mastercard,
//! alliance, store, notification} → upstream → {audit, domain, jose, settings, telemetry}`; [`domain`] imports nothing of ours.
//!
//! # A TOKEN_REFRESH on its way through the house
//!
//! 1. `receiver` reads the body within its limits, checks that it is a well-formed envelope
//!    ([`notification::Envelope`]) and hands it to the [`receiver::Intake`]: one thread that writes
//!    everything that waits in one commit. After the commit: 204. While PostgreSQL is away the commit is
//!    that of the receiver's [`store::Spool`], if it has one.
//! 2. The [`processor::Processor`], hinted or at its next look, takes the waiting deliveries. Each is
//!    split into items ([`notification::Item`]); its `paymentData` passes the guard and is opened by
//!    the key its header names ([`jose::Keyring::open`]). What cannot be opened is held, not dropped.
//! 3. In one transaction: the cards are locked and read, [`domain::decide()`] judges item by item,
//!    and cards, tokens, verdicts and calls are written ([`store::Tx`]). A changed number destroys
//!    the old cryptogram and makes a fresh one due.
//! 4. The [`dispatcher::Dispatcher`], hinted or at its next look, claims the call that is due and makes it
//!    ([`mastercard::Client::checkout`]). The answer is verified, bound to the card, and decided upon by the
//!    same function; its cryptogram is stored only if the number is still the one it was made for.
//! 5. `GET /v1/cards/{id}` shows the card, `GET /v1/notifications` the verdict, `tokenkeep
//!    notifications explain` how it came about.

pub mod alliance;
pub mod api;
pub mod audit;
pub mod commands;
pub mod console;
pub mod dispatcher;
pub mod domain;
pub mod jose;
pub mod mastercard;
pub mod notification;
pub mod processor;
pub mod receiver;
pub mod sandbox;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod upstream;

//! `/v1/events`: every change once, in order, pulled or streamed.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use tokenkeep::api::access::AccessRole;

use crate::support::build::{CARD, NUMBER_1, NUMBER_2, plain, refresh, status};
use crate::support::{App, Backend, START, slack};

/// Streams that a service keeps open.
const MOST: usize = 32;

/// An open stream of events.
struct Stream(BufReader<Box<dyn Read + Send>>);

impl Stream {
    /// Opens one; `Err` with the code of the refusal.
    fn open(app: &App, key: &str, query: &str, last: Option<&str>) -> Result<Self, String> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        let url = app.api_url(&format!("/v1/events/stream{query}"));
        let mut request = ureq::Agent::from(config)
            .get(&url)
            .header("authorization", format!("Bearer {key}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let mut answer = request.call().unwrap();
        if answer.status() != 200 {
            let problem = answer.body_mut().read_to_string().unwrap();
            let problem: Value = serde_json::from_str(&problem).unwrap();
            return Err(problem["code"].as_str().unwrap().to_owned());
        }
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        let body: Box<dyn Read + Send> = Box::new(answer.into_body().into_reader());
        Ok(Self(BufReader::new(body)))
    }

    /// The next block of lines; none once the stream has ended.
    fn block(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(length) if length > 0 && line == "\n" => return Some(lines),
                Ok(length) if length > 0 => lines.push(line.trim_end().to_owned()),
                _ => return None,
            }
        }
    }

    /// The next event: its id and its data.
    fn event(&mut self) -> (String, Value) {
        loop {
            let block = self.block().expect("an event");
            let [id, data] = block.as_slice() else {
                continue;
            };
            let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            return (id.strip_prefix("id: ").unwrap().to_owned(), data);
        }
    }
}

fn key(app: &App) -> String {
    app.new_key(AccessRole::App, "the app")
}

fn page(app: &App, key: &str, query: &str) -> Value {
    let answer = app
        .client
        .get(&app.api_url(&format!("/v1/events{query}")), key);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// Changes of several kinds.
fn change(app: &App) {
    let registered = app.put(&format!("/v1/cards/{CARD}"), &json!({ "program": "shop" }));
    assert_eq!(registered.status, 201);
    let expiry = ("12", "2031");
    app.deliver(&plain(&[refresh(CARD, START - 9_000, NUMBER_1, expiry)]));
    app.deliver(&plain(&[
        status(CARD, Some(START - 8_000), "SUSPENDED"),
        status("other", Some(START - 8_000), "ACTIVE"),
        status(CARD, Some(START - 7_000), "ACTIVE"),
    ]));
    app.deliver(&plain(&[refresh(CARD, START - 6_000, NUMBER_2, expiry)]));
    app.deliver(&plain(&[status(CARD, Some(START - 5_000), "CANCELLED")]));
}

#[rstest]
fn every_change_is_told_once_in_order_and_pages_leave_nothing_out(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = key(&app);
    assert_eq!(page(&app, &key, ""), json!({ "events": [], "next": "0" }));
    change(&app);
    let whole = page(&app, &key, "");
    let events = whole["events"].as_array().unwrap();
    let told: Vec<String> = events
        .iter()
        .map(|event| format!("{} {}", event["cardId"].as_str().unwrap(), event["type"]))
        .collect();
    let told = told.join("\n").replace(CARD, "CARD").replace('"', "");
    insta::allow_duplicates! {
        insta::assert_snapshot!(told, @r"
        CARD card.registered
        CARD card.status
        CARD card.token
        CARD card.details
        CARD card.status
        other card.status
        other card.details
        CARD card.status
        CARD card.token
        CARD card.status
        ");
    }
    for event in events {
        let fields: Vec<&String> = event.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["id", "type", "at", "cardId", "data"]);
        assert_eq!(event["at"], "2026-07-20T10:00:00.000Z");
    }
    assert!(!whole.to_string().contains(NUMBER_1) && !whole.to_string().contains(NUMBER_2));

    for limit in 1..=events.len() + 1 {
        let mut after = "0".to_owned();
        let mut paged = Vec::new();
        loop {
            let page = page(&app, &key, &format!("?limit={limit}&after={after}"));
            let found = page["events"].as_array().unwrap();
            assert!(found.len() <= limit);
            after = page["next"].as_str().unwrap().to_owned();
            if found.is_empty() {
                break;
            }
            paged.extend(found.clone());
        }
        assert_eq!(&paged, events, "limit {limit}");
        // The cursor behind everything is where to go on from later.
        assert_eq!(after, whole["next"]);
    }
}

#[rstest]
#[case("?after=x")]
#[case("?after=")]
#[case("?after=-1")]
#[case("?after=%2B1")]
#[case("?after=99999999999999999999")]
#[case("?limit=0")]
fn a_wrong_cursor_or_limit_is_refused(#[case] query: &str) {
    let app = App::spawn(Backend::Sqlite);
    let key = key(&app);
    let answer = app
        .client
        .get(&app.api_url(&format!("/v1/events{query}")), &key);
    assert_eq!(answer.status, 400, "{}", answer.text);
    if query.contains("after") {
        let refused = Stream::open(&app, &key, query, None).err();
        assert_eq!(refused.as_deref(), Some("wrong-query"));
    }
}

#[rstest]
fn a_stream_has_the_events_and_ids_of_the_pages_from_the_named_one_on(
    #[values(Backend::Sqlite, Backend::Postgres)] backend: Backend,
) {
    let app = App::spawn(backend);
    let key = key(&app);
    let mut live = Stream::open(&app, &key, "", None).unwrap();
    // Where it begins is told before anything happens.
    assert_eq!(live.block().unwrap(), ["id: 0"]);
    change(&app);
    let pulled = page(&app, &key, "")["events"].as_array().unwrap().clone();
    let read = |stream: &mut Stream, from: usize| {
        for event in &pulled[from..] {
            let (id, data) = stream.event();
            assert_eq!((&json!(id), &data), (&event["id"], event));
        }
    };
    read(&mut live, 0);
    let third = pulled[2]["id"].as_str().unwrap();
    read(&mut Stream::open(&app, &key, "", Some(third)).unwrap(), 3);
    let query = format!("?after={third}");
    read(&mut Stream::open(&app, &key, &query, None).unwrap(), 3);
    // A client that comes back has the header beside its old address.
    read(
        &mut Stream::open(&app, &key, "?after=0", Some(third)).unwrap(),
        3,
    );

    // One that begins now hears nothing of the past.
    let mut late = Stream::open(&app, &key, "", None).unwrap();
    let newest = pulled.last().unwrap()["id"].as_str().unwrap();
    assert_eq!(late.block().unwrap(), [format!("id: {newest}")]);
    app.deliver(&plain(&[status("late", Some(START), "ACTIVE")]));
    assert_eq!(late.event().1["cardId"], "late");
}

#[test]
fn a_stop_does_not_wait_for_open_streams() {
    let mut app = App::spawn(Backend::Sqlite);
    let key = key(&app);
    let mut streams: Vec<Stream> = (0..8)
        .map(|_| Stream::open(&app, &key, "?after=0", None).unwrap())
        .collect();
    let begun = Instant::now();
    app.stop();
    assert!(
        begun.elapsed() < Duration::from_secs(3) + slack(),
        "{:?}",
        begun.elapsed()
    );
    for stream in &mut streams {
        while stream.block().is_some() {}
    }
}

#[rstest]
fn a_revoked_key_ends_its_stream(#[values(Backend::Sqlite, Backend::Postgres)] backend: Backend) {
    let app = App::spawn(backend);
    let (key, other) = (key(&app), app.new_key(AccessRole::App, "another"));
    let mut revoked = Stream::open(&app, &key, "?after=0", None).unwrap();
    let mut valid = Stream::open(&app, &other, "?after=0", None).unwrap();
    let gone = app.store().write(|tx| tx.revoke_api_key("the app", START));
    assert!(gone.unwrap());
    while revoked.block().is_some() {}
    app.deliver(&plain(&[status(CARD, Some(START), "ACTIVE")]));
    assert_eq!(valid.event().1["cardId"], CARD);
}

#[test]
fn there_are_never_too_many_streams_and_a_client_that_is_gone_makes_room() {
    let app = App::spawn(Backend::Sqlite);
    let key = key(&app);
    let open = || Stream::open(&app, &key, "?after=0", None);
    let mut streams: Vec<Stream> = (0..MOST).map(|_| open().unwrap()).collect();
    assert_eq!(open().err().as_deref(), Some("too-many-streams"));
    // Others are answered as ever.
    assert_eq!(page(&app, &key, "")["next"], "0");
    streams.pop();
    // That it is gone is noticed when something is written to it.
    let deadline = Instant::now() + Duration::from_secs(60);
    while open().is_err() {
        assert!(Instant::now() < deadline, "there is no room again");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_silent_stream_says_every_15_seconds_that_it_is_there() {
    let app = App::spawn(Backend::Sqlite);
    let key = key(&app);
    // Before the service begins to count.
    let begun = Instant::now();
    let mut stream = Stream::open(&app, &key, "?after=0", None).unwrap();
    assert_eq!(stream.block().unwrap(), [":"]);
    assert_eq!(stream.block().unwrap(), [":"]);
    let silent = begun.elapsed();
    let most = Duration::from_secs(18) + slack();
    assert!(
        (Duration::from_secs(15)..most).contains(&silent),
        "{silent:?}"
    );
}

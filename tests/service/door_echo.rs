//! Nothing of a request comes back, and nothing of it is logged.

use crate::door_bodies::{CANARY, LIST, assert_problem};
use crate::support::build::plain;
use crate::support::raw::{Reply, exchange, post};
use crate::support::serve::Serve;
use crate::support::sql::sql;
use crate::support::{Backend, TestDatabase, wait_until};

#[test]
fn w28_nothing_of_a_request_is_in_the_answer_wherever_the_digits_stand() {
    let database = TestDatabase::new(Backend::Sqlite);
    let serve = Serve::start_with(&database, &[("RUST_LOG", "trace")]);
    let body = |list: &str| format!("{{\"{LIST}\":{list}}}");
    let mut answers = 0;
    let mut look = |reply: &Reply| answers += usize::from(format!("{reply:?}").contains(CANARY));
    let wrong = [
        format!("{{\"{CANARY}\":1,\"{CANARY}\":2}}"),
        format!("{{\"other\":{{\"number\":\"{CANARY}\"}}}}"),
        body(&format!("[{{\"status\":\"{CANARY}\", \"{CANARY}\"}}]")),
        body(&format!("[{{\"reasonCode\":{CANARY}{CANARY}x}}]")),
        format!("{}{CANARY}", "[".repeat(200)),
    ];
    for body in &wrong {
        let reply = post(serve.address(), body.as_bytes());
        look(&reply);
        assert_problem(&reply, 400, "not-a-notification", body);
    }
    // Wrong types and enum values within a notification: kept, and answered without a body.
    let kept = [
        body(CANARY),
        body(&format!("\"{CANARY}\"")),
        body(&format!("[{CANARY},\"{CANARY}\",{{\"{CANARY}\":1}}]")),
        body(&format!("[{{\"maskedCard\":\"{CANARY}\"}}]")),
        body(&format!(
            "[{{\"reasonCode\":\"{CANARY}\",\"maskedCard\":{{\"srcDigitalCardId\":\"c\",\
             \"digitalCardData\":{{\"status\":\"{CANARY}\"}}}}}}]"
        )),
    ];
    for body in &kept {
        let reply = post(serve.address(), body.as_bytes());
        assert_eq!((reply.status, &*reply.body), (204, ""), "{body}");
        look(&reply);
    }
    let text = plain(&[]).to_string();
    let request = |target: &str, headers: &str, length: usize| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: {length}\r\n\r\n{text}"
        )
    };
    let path = "/notifications/card";
    let json = "Content-Type: application/json\r\n";
    let all = [
        request(&format!("/{CANARY}"), json, text.len()),
        request(&format!("{path}/{CANARY}"), json, text.len()),
        request(&format!("{path}?card={CANARY}"), "", text.len()),
        request(&format!("http://{CANARY}/x?{CANARY}"), json, text.len()),
        request(path, &format!("Content-Type: {CANARY}\r\n"), text.len()),
        request(
            path,
            &format!("{json}Content-Encoding: {CANARY}\r\n"),
            text.len(),
        ),
        request(path, &format!("{json}X-{CANARY}: \u{1}\r\n"), text.len()),
        request(path, &format!("{json}Expect: {CANARY}\r\n"), 2_000_000),
        format!("{CANARY} {path} HTTP/1.1\r\nHost: test\r\n\r\n"),
        format!("GET {path} HTTP/{CANARY}\r\nHost: test\r\n\r\n"),
    ];
    for request in &all {
        let reply = exchange(serve.address(), request).expect("an answer");
        assert!((400..500).contains(&reply.status), "{reply:?}: {request}");
        look(&reply);
    }
    wait_until("all that is kept is decided", || {
        sql(&database).is_settled()
    });
    let log = serve.log();
    let told = log.iter().filter(|line| line.contains(CANARY)).count();
    println!(
        "W-28 {} requests with the canary: in {answers} answers and in {told} of {} lines logged at TRACE",
        wrong.len() + kept.len() + all.len(),
        log.len()
    );
    assert!(log.len() > all.len(), "the log was looked at");
    assert_eq!((answers, told), (0, 0));
}

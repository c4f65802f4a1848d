//! Certificates are exchanged while senders deliver.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openssl::ssl::{SslConnector, SslVersion};

use crate::support::certificates::{Certificate, Wish};
use crate::support::tls::{ASKING, SENDER, TlsFolder, ask, connect, post, request, sender};
use crate::support::{App, SetOnDrop, is_full, wait_until};

const NEXT_SENDER: &str = "ws.next.example";
const THREADS: usize = 4;
/// Each thread's time between two deliveries: a hundred a second together.
const PACE: Duration = Duration::from_millis(40);
/// Longer than the service needs to look at its files again.
const A_LOOK: Duration = Duration::from_millis(1_300);

fn is_let_in(app: &App, sender: &SslConnector) -> bool {
    post(app.public(), sender).is_some_and(|answer| answer.status == 204)
}

/// Delivers at its pace until told to stop; returns how often, and counts what failed.
fn deliver(
    app: &App,
    [old, next]: &[SslConnector; 2],
    is_next: &AtomicBool,
    stop: &AtomicBool,
    failures: &AtomicUsize,
) -> usize {
    let mut sent = 0;
    let mut due = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        let sender = if is_next.load(Ordering::SeqCst) {
            next
        } else {
            old
        };
        if !is_let_in(app, sender) {
            failures.fetch_add(1, Ordering::SeqCst);
        }
        sent += 1;
        due += PACE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    sent
}

#[test]
fn w25_authorities_senders_and_own_certificates_are_exchanged_under_load_without_a_failure() {
    let (old, next) = (
        Certificate::authority("Old"),
        Certificate::authority("Next"),
    );
    let folder = TlsFolder::new(&[&old]);
    let both = format!("[\"cn:{SENDER}\", \"cn:{NEXT_SENDER}\"]");
    let app = folder.spawn(&ASKING.replace("[\"cn:ws.sender.example\"]", &both));
    let senders = [
        sender(
            Some(&old.issue(&Wish::client(&[SENDER]))),
            SslVersion::TLS1_3,
        ),
        sender(
            Some(&next.issue(&Wish::client(&[NEXT_SENDER]))),
            SslVersion::TLS1_2,
        ),
    ];
    let (is_next, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let failures = AtomicUsize::new(0);
    let begun = Instant::now();
    let sent: usize = std::thread::scope(|scope| {
        let stopping = SetOnDrop(&stop);
        let run = || deliver(&app, &senders, &is_next, &stop, &failures);
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(run)).collect();
        assert!(!is_let_in(&app, &senders[1]), "not trusted yet");
        folder.put_authorities(&[&old, &next]);
        wait_until("the next sender is let in", || is_let_in(&app, &senders[1]));
        assert!(is_let_in(&app, &senders[0]), "both are trusted");
        is_next.store(true, Ordering::SeqCst);
        folder.put_listener();
        folder.put("authorities.pem", b"half a file");
        std::thread::sleep(A_LOOK);
        assert!(is_let_in(&app, &senders[0]), "what was loaded stays");
        folder.put_authorities(&[&next]);
        wait_until("the old sender is refused", || {
            !is_let_in(&app, &senders[0])
        });
        drop(stopping);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    let rate = sent as f64 / begun.elapsed().as_secs_f64();
    let failures = failures.into_inner();
    println!("W-25 {sent} deliveries, {rate:.0} a second, {failures} failures");
    assert_eq!(failures, 0);
    // A machine that other tests keep busy does not reach it.
    assert!(!is_full() || rate > 95.0, "{rate:.0} a second");
    assert!(is_let_in(&app, &senders[1]));
}

#[test]
fn a_connection_that_was_open_before_a_change_is_answered_once_more_and_closed() {
    let authority = Certificate::authority("Authority");
    let folder = TlsFolder::new(&[&authority]);
    let sibling = "/notifications/other";
    let siblings = format!("[receiver]\nsibling_paths = [\"{sibling}\"]\n{ASKING}");
    let app = folder.spawn(&siblings);
    let right = authority.issue(&Wish::client(&[SENDER]));
    let right = sender(Some(&right), SslVersion::TLS1_3);
    let delivery = request("");
    let requests = [
        (204, delivery.clone()),
        (204, delivery.replace("/notifications/card", sibling)),
        (
            400,
            "POST /notifications/card HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
               Content-Length: 2\r\n\r\n{}"
                .to_owned(),
        ),
        (200, "GET /livez HTTP/1.1\r\nHost: test\r\n\r\n".to_owned()),
    ];
    let mut streams = requests.map(|(status, request)| {
        let mut stream = connect(app.public(), &right).unwrap();
        let first = ask(&mut stream, &request).unwrap();
        assert_eq!((first.status, first.header("connection")), (status, None));
        (stream, status, request)
    });
    folder.put_authorities(&[&Certificate::authority("Next")]);
    wait_until("the sender is refused", || !is_let_in(&app, &right));
    for (stream, status, request) in &mut streams {
        let last = ask(stream, request).unwrap();
        assert_eq!(
            (last.status, last.header("connection")),
            (*status, Some("close")),
            "{request}"
        );
        assert!(ask(stream, request).is_none());
    }
}

#[test]
fn a_new_certificate_of_the_listener_is_shown_once_its_key_has_come() {
    let authority = Certificate::authority("Authority");
    let folder = TlsFolder::new(&[&authority]);
    let app = folder.spawn(ASKING);
    let caller = sender(None, SslVersion::TLS1_2);
    let shown = || {
        let stream = std::net::TcpStream::connect(app.public()).unwrap();
        let mut ssl = caller.configure().unwrap().into_ssl("localhost").unwrap();
        ssl.set_connect_state();
        let mut stream = openssl::ssl::SslStream::new(ssl, stream).unwrap();
        // Refused for want of a certificate, but the listener's was shown first.
        let _ = stream.connect();
        stream.ssl().peer_certificate().unwrap().to_pem().unwrap()
    };
    let first = shown();
    let new = Certificate::self_signed(&Wish::client(&["localhost"]));
    folder.put("server.pem", &new.pem());
    std::thread::sleep(A_LOOK);
    assert!(shown() == first, "its key is not there yet");
    folder.put("server.key", &new.key_pem());
    wait_until("the new certificate is shown", || shown() == new.pem());
}

#[test]
fn w24_a_sender_that_is_revoked_while_the_service_runs_is_refused_from_the_next_look_on() {
    let authority = Certificate::authority("Authority");
    let folder = TlsFolder::new(&[&authority]);
    folder.put("revoked.crl", &authority.revocations(&[666]));
    let app = folder.spawn(&format!(
        "{ASKING}client_revocations = [\"tls/revoked.crl\"]\n"
    ));
    let of_serial = |serial| {
        let wish = Wish::client(&[SENDER]);
        let certificate = authority.issue(&Wish { serial, ..wish });
        sender(Some(&certificate), SslVersion::TLS1_3)
    };
    let (first, second) = (of_serial(7), of_serial(8));
    assert!(is_let_in(&app, &first) && is_let_in(&app, &second));
    folder.put("revoked.crl", &authority.revocations(&[666, 7]));
    wait_until("the first is refused", || !is_let_in(&app, &first));
    assert!(is_let_in(&app, &second), "nobody else is");
    folder.put("revoked.crl", b"half a list");
    std::thread::sleep(A_LOOK);
    assert!(!is_let_in(&app, &first) && is_let_in(&app, &second));
    println!("W-24 revoked while it runs: refused within two looks; half a list changes nothing");
}

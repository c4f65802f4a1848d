//! Handshakes that are slow, repeated, cut short or for something else than HTTP/1.1.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use openssl::ssl::SslVersion;
use rstest::rstest;

use crate::support::App;
use crate::support::certificates::{Certificate, Wish};
use crate::support::raw::{Connection, head};
use crate::support::tls::{
    ASKING, BOTH, SENDER, TlsFolder, body, exchange, post, refused, request, sender,
};
use crate::support::{is_full, slack};

/// A service, the right certificate, and one of another subject.
fn asking() -> (TlsFolder, App, Certificate, Certificate) {
    let authority = Certificate::authority("Public Authority");
    let folder = TlsFolder::new(&[&authority]);
    let app = folder.spawn(ASKING);
    let right = authority.issue(&Wish::client(&[SENDER]));
    let other = authority.issue(&Wish::client(&["www.merchant.example"]));
    (folder, app, right, other)
}

/// Runs `openssl s_client`, which can do what no library lets a program do: it takes sessions up again
/// and asks for another handshake. Returns all it printed.
fn s_client(
    address: SocketAddr,
    folder: &Path,
    certificate: &Certificate,
    more: &[&str],
    input: &str,
) -> String {
    fs::write(folder.join("s.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("s.key"), certificate.key_pem()).unwrap();
    let out = fs::File::create(folder.join("s.out")).unwrap();
    let mut child = Command::new("openssl")
        .args(["s_client", "-cert", "s.pem", "-key", "s.key", "-connect"])
        .arg(address.to_string())
        .args(more)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .spawn()
        .expect("the openssl program is there");
    let mut stdin = child.stdin.take().unwrap();
    // Letters count as commands only once the handshake is done.
    std::thread::sleep(Duration::from_millis(700));
    let _ = stdin.write_all(input.as_bytes());
    std::thread::sleep(Duration::from_millis(700));
    let _ = child.kill();
    child.wait().unwrap();
    String::from_utf8_lossy(&fs::read(folder.join("s.out")).unwrap()).into_owned()
}

#[test]
fn w24_a_second_handshake_on_a_connection_is_refused() {
    let (folder, app, right, _) = asking();
    let printed = s_client(app.public(), folder.path(), &right, &["-tls1_2"], "R\n");
    assert!(printed.contains("RENEGOTIATING"), "{printed}");
    assert!(printed.contains("no renegotiation"), "{printed}");
    println!("W-24 a second handshake: refused");
}

#[rstest]
fn w24_no_session_is_taken_up_again_so_that_every_connection_shows_its_subject(
    #[values("-tls1_2", "-tls1_3")] version: &str,
) {
    let (folder, app, right, other) = asking();
    let request = request("");
    let run = |certificate, session: &[&str]| {
        let more = [&[version], session].concat();
        s_client(app.public(), folder.path(), certificate, &more, &request)
    };
    let printed = run(&right, &["-sess_out", "session.pem"]);
    assert!(printed.contains("204 No Content"), "{printed}");
    let is_kept = folder.path().join("session.pem").exists();
    let session: &[&str] = if is_kept {
        &["-sess_in", "session.pem"]
    } else {
        &[]
    };
    for certificate in [&right, &other] {
        let printed = run(certificate, session);
        assert!(!printed.contains("Reused"), "{printed}");
        let is_right = std::ptr::eq(certificate, &right);
        assert_eq!(printed.contains("204 No Content"), is_right, "{printed}");
    }
    assert_eq!(refused(&app, "subject"), 1);
    println!("W-24 a session taken up again {version}: none is, the subject is looked at");
}

#[test]
fn w39_http2_is_not_offered() {
    let (_folder, app, right, _) = asking();
    let connector = sender(Some(&right), SslVersion::TLS1_3);
    let mut setup = connector.configure().unwrap();
    setup.set_verify_hostname(false);
    setup.set_alpn_protos(b"\x02h2\x08http/1.1").unwrap();
    let stream = TcpStream::connect(app.public()).unwrap();
    let stream = setup.connect("localhost", stream).unwrap();
    assert_eq!(stream.ssl().selected_alpn_protocol(), None);
}

#[test]
fn w04_silent_handshakes_are_ended_within_6_seconds_and_hold_nobody_up() {
    let (_folder, app, right, _) = asking();
    let begun = Instant::now();
    let mut silent: Vec<_> = (0..100).map(|_| Connection::open(app.public())).collect();
    // The beginning of a hello that does not go on.
    silent.iter_mut().take(50).for_each(|one| {
        one.send(b"\x16\x03\x01\x02\x00\x01");
    });
    let right = sender(Some(&right), SslVersion::TLS1_3);
    let asked = Instant::now();
    assert_eq!(post(app.public(), &right).unwrap().status, 204);
    assert!(
        asked.elapsed() < Duration::from_secs(if is_full() { 2 } else { 4 }),
        "{:?}",
        asked.elapsed()
    );
    for one in &mut silent {
        let left = (Duration::from_secs(6) + slack()).saturating_sub(begun.elapsed());
        assert!(one.closes_within(left), "after {:?}", begun.elapsed());
    }
    assert_eq!(refused(&app, "handshake-timeout"), 100);
}

#[test]
fn what_is_not_tls_is_refused_and_the_next_sender_served() {
    let (_folder, app, right, _) = asking();
    for bytes in [
        head("/notifications/card", 2).as_bytes(),
        &[0x16; 4_096],
        b"\x80\x2e\x01",
    ] {
        let mut connection = Connection::open(app.public());
        connection.send(bytes);
        drop(connection);
    }
    let right = sender(Some(&right), SslVersion::TLS1_2);
    assert_eq!(post(app.public(), &right).unwrap().status, 204);
    assert_eq!(app.database.deliveries(), 1);
}

#[rstest]
fn bodies_up_to_the_limit_are_kept_in_records_of_any_size(#[values(0, 1)] version: usize) {
    let (_folder, app, right, _) = asking();
    let right = sender(Some(&right), BOTH[version]);
    let path = "/notifications/card";
    let full = format!("{}{}", body(), " ".repeat((1 << 20) - body().len()));
    let request = format!("{}{full}", head(path, full.len()));
    assert_eq!(
        exchange(app.public(), &right, &request).unwrap().status,
        204
    );
    let request = format!("{}{full} ", head(path, full.len() + 1));
    let answer = exchange(app.public(), &right, &request);
    assert!(answer.is_none_or(|answer| answer.status == 413));
    let mut setup = right.configure().unwrap();
    setup.set_verify_hostname(false);
    let stream = TcpStream::connect(app.public()).unwrap();
    let mut stream = setup.connect("localhost", stream).unwrap();
    let request = format!(
        "{}{}",
        head(path, 20_000),
        " ".repeat(20_000 - body().len()) + &body()
    );
    for piece in request.as_bytes().chunks(7) {
        stream.write_all(piece).unwrap();
    }
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
}

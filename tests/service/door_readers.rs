//! Whoever asks and takes no answer is cut off; whoever takes them slowly is not.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rstest::rstest;

use crate::support::raw::{Connection, exchange};
use crate::support::serve::Serve;
use crate::support::{Backend, TestDatabase, wait_until};

const ASK: &[u8] = b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n";
const SENDERS: usize = 20;
/// What the service gives a reader who takes nothing.
const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
enum Listener {
    Public,
    Api,
}

fn address(serve: &Serve, listener: Listener) -> SocketAddr {
    match listener {
        Listener::Public => serve.address(),
        Listener::Api => serve.api,
    }
}

fn status(address: SocketAddr) -> Option<u16> {
    exchange(address, ASK).map(|reply| reply.status)
}

#[rstest]
fn w05_senders_that_take_no_answer_are_cut_and_their_descriptors_come_back(
    #[values(Listener::Public, Listener::Api)] listener: Listener,
) {
    let database = TestDatabase::new(Backend::Sqlite);
    let serve = Serve::start(&database);
    let address = address(&serve, listener);
    assert_eq!(status(address), Some(200));
    std::thread::sleep(Duration::from_millis(500));
    let before = serve.sockets();
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let sender = Connection::open(address);
            sender.pour(ASK);
            sender
        })
        .collect();
    wait_until("all are connected", || serve.sockets() >= before + SENDERS);
    let begun = Instant::now();
    wait_until("their descriptors are given back", || {
        serve.sockets() <= before
    });
    let took = begun.elapsed();
    assert!(took > DEADLINE / 2, "they were let in");
    assert_eq!(status(address), Some(200));
    println!(
        "W-05 {listener:?}: {SENDERS} senders that took no answer were cut after {:.1} s",
        took.as_secs_f32()
    );
    drop(senders);
}

#[rstest]
fn a_slow_reader_that_goes_on_reading_goes_on_being_answered(
    #[values(Listener::Public, Listener::Api)] listener: Listener,
) {
    let database = TestDatabase::new(Backend::Sqlite);
    let serve = Serve::start(&database);
    let mut reader = TcpStream::connect(address(&serve, listener)).unwrap();
    let mut writer = reader.try_clone().unwrap();
    // It never has all of its answers, so that the service has to wait for it all the time.
    std::thread::spawn(move || while writer.write_all(&ASK.repeat(100)).is_ok() {});
    let begun = Instant::now();
    let mut chunk = [0; 16 * 1024];
    let mut received = 0;
    while begun.elapsed() < DEADLINE + Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(50));
        let length = reader.read(&mut chunk).unwrap();
        assert!(length > 0, "cut off after {received} bytes");
        received += length;
    }
    reader.shutdown(Shutdown::Both).unwrap();
}

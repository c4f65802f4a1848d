//! A TCP proxy in front of the tests' PostgreSQL. It understands just enough of the protocol to see a commit, which it
//! cuts off before or after, or delays; and it can fall silent without closing anything.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::net::sockopt;

use super::TestDatabase;

/// Asked before the start of a session: whether it is to be encrypted, one way or the other.
const ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];

pub struct Proxy {
    address: SocketAddr,
    name: String,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    socket: PathBuf,
    /// Every so manieth commit is cut off; 0 is none.
    cut_every: AtomicUsize,
    commits: AtomicUsize,
    cut_before: AtomicUsize,
    cut_after: AtomicUsize,
    /// Milliseconds before a commit is passed on.
    delay: AtomicU64,
    round_trips: AtomicUsize,
    is_silent: AtomicBool,
    is_closed: AtomicBool,
}

/// What becomes of a commit.
enum Fate {
    Passed,
    CutBefore,
    CutAfter,
}

impl Proxy {
    pub fn before(database: &TestDatabase) -> Self {
        Self::at("127.0.0.1", database)
    }

    /// The same at another address of this machine.
    pub fn at(host: &str, database: &TestDatabase) -> Self {
        let url = database.url();
        let (place, folder) = url.split_once("?host=").unwrap();
        let plan = Arc::new(Plan {
            socket: PathBuf::from(folder).join(".s.PGSQL.5432"),
            ..Plan::default()
        });
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let its_plan = plan.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if its_plan.is_closed.load(Ordering::SeqCst) {
                    return;
                }
                let plan = its_plan.clone();
                std::thread::spawn(move || plan.serve(client));
            }
        });
        let (_, name) = place.rsplit_once('/').unwrap();
        Self {
            address,
            name: name.to_owned(),
            plan,
        }
    }

    /// The database's address through the proxy.
    pub fn url(&self) -> String {
        format!("postgres://tokenkeep@{}/{}", self.address, self.name)
    }

    /// Cuts every so manieth commit off, by turns before it is passed on and after it is done.
    pub fn cut_every(&self, commits: usize) {
        self.plan.cut_every.store(commits, Ordering::SeqCst);
    }

    /// How many commits were cut off before, and how many after.
    pub fn cut(&self) -> (usize, usize) {
        let plan = &self.plan;
        (
            plan.cut_before.load(Ordering::SeqCst),
            plan.cut_after.load(Ordering::SeqCst),
        )
    }

    /// How often the service has waited for an answer so far.
    pub fn round_trips(&self) -> usize {
        self.plan.round_trips.load(Ordering::SeqCst)
    }

    pub fn delay_commits(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap();
        self.plan.delay.store(by, Ordering::SeqCst);
    }

    /// Passes nothing on any more, in neither direction, until it is told to.
    pub fn be_silent(&self, is_silent: bool) {
        self.plan.is_silent.store(is_silent, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.be_silent(false);
        self.plan.is_closed.store(true, Ordering::SeqCst);
        // Lets the listening thread see it.
        let _ = TcpStream::connect(self.address);
    }
}

impl Plan {
    fn wait_while_silent(&self) {
        while self.is_silent.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn serve(&self, client: TcpStream) {
        client.set_nodelay(true).unwrap();
        // As the server does with its own connections, since each session tells it to.
        sockopt::set_tcp_user_timeout(&client, 3000).unwrap();
        sockopt::set_socket_keepalive(&client, true).unwrap();
        sockopt::set_tcp_keepidle(&client, Duration::from_secs(1)).unwrap();
        sockopt::set_tcp_keepintvl(&client, Duration::from_secs(1)).unwrap();
        sockopt::set_tcp_keepcnt(&client, 3).unwrap();
        self.wait_while_silent();
        let Ok(server) = UnixStream::connect(&self.socket) else {
            return;
        };
        let is_cut = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.pass_back(&server, &client, &is_cut));
            // Either end may be gone at any time.
            let _ = self.pass_on(&client, &server, &is_cut);
            let _ = server.shutdown(Shutdown::Both);
            if !is_cut.load(Ordering::SeqCst) {
                let _ = client.shutdown(Shutdown::Both);
            }
        });
    }

    /// From the service to the server, message by message.
    fn pass_on(
        &self,
        mut client: &TcpStream,
        mut server: &UnixStream,
        is_cut: &AtomicBool,
    ) -> std::io::Result<()> {
        loop {
            let first = message(client, &[])?;
            let code = first
                .get(4..8)
                .map(|code| u32::from_be_bytes(code.try_into().unwrap()));
            if !ENCRYPTION.contains(&code.unwrap_or_default()) {
                self.wait_while_silent();
                server.write_all(&first)?;
                break;
            }
            client.write_all(b"N")?;
        }
        loop {
            let mut kind = [0];
            client.read_exact(&mut kind)?;
            let message = message(client, &kind)?;
            // A query, or the end of what is sent before an answer is waited for.
            let is_waited_for = matches!(&kind, b"Q" | b"S");
            self.round_trips
                .fetch_add(usize::from(is_waited_for), Ordering::SeqCst);
            self.wait_while_silent();
            if message.get(5..) == Some(b"COMMIT\0") {
                match self.fate() {
                    Fate::Passed => {}
                    Fate::CutBefore => return Ok(()),
                    Fate::CutAfter => {
                        is_cut.store(true, Ordering::SeqCst);
                        server.write_all(&message)?;
                        // Whoever reads the answer closes both ends.
                        return client.read_exact(&mut kind);
                    }
                }
            }
            server.write_all(&message)?;
        }
    }

    /// From the server to the service as it comes, but for the answer to a commit that is cut off.
    fn pass_back(&self, mut server: &UnixStream, mut client: &TcpStream, is_cut: &AtomicBool) {
        let mut buffer = [0; 16_384];
        while let Ok(read @ 1..) = server.read(&mut buffer) {
            self.wait_while_silent();
            if is_cut.load(Ordering::SeqCst) {
                let is_done = buffer[..read].windows(6).any(|part| part == b"COMMIT");
                self.cut_after
                    .fetch_add(usize::from(is_done), Ordering::SeqCst);
                break;
            }
            if client.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }

    fn fate(&self) -> Fate {
        std::thread::sleep(Duration::from_millis(self.delay.load(Ordering::SeqCst)));
        let every = self.cut_every.load(Ordering::SeqCst);
        if every == 0 {
            return Fate::Passed;
        }
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        if number % every != every - 1 {
            return Fate::Passed;
        }
        if (number / every).is_multiple_of(2) {
            self.cut_before.fetch_add(1, Ordering::SeqCst);
            return Fate::CutBefore;
        }
        Fate::CutAfter
    }
}

/// A whole message, with its kind in front where it has one: its length, which counts itself, and that many bytes.
fn message(mut from: &TcpStream, kind: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let rest = (u32::from_be_bytes(length) as usize).saturating_sub(4);
    let mut message = [kind, &length].concat();
    let begun = message.len();
    message.resize(begun + rest, 0);
    from.read_exact(&mut message[begun..])?;
    Ok(message)
}

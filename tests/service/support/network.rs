//! A network of its own for a service: its requests come by one link, its database is behind another that can be cut.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many there may be beside one another.
const NETWORKS: u32 = 16_384;

/// Numbers links and addresses apart from those of other test processes.
pub struct Network {
    number: u32,
}

impl Network {
    /// Makes it; none where that may not be done: it takes root and `ip`.
    pub fn make() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::SeqCst);
        let it = Self {
            number: (std::process::id() * 4 + made) % NETWORKS,
        };
        let name = it.name();
        run(&["netns", "add", &name]).then_some(())?;
        let is_made = [0, 1].into_iter().all(|link| {
            let (outer, inner) = (it.link(link), format!("{}i", it.link(link)));
            let [there, here] = [2, 1].map(|end| format!("{}/30", it.address(link, end)));
            run(&[
                "link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &name,
            ]) && run(&["addr", "add", &here, "dev", &outer])
                && run(&["link", "set", &outer, "up"])
                && run(&["-n", &name, "addr", "add", &there, "dev", &inner])
                && run(&["-n", &name, "link", "set", &inner, "up"])
        });
        // What was made goes with it.
        is_made.then_some(it)
    }

    pub fn name(&self) -> String {
        format!("tokenkeep-{}", self.number)
    }

    /// Where the service is reached.
    pub fn service(&self) -> String {
        self.address(0, 2)
    }

    /// Where it reaches its database.
    pub fn database(&self) -> String {
        self.address(1, 1)
    }

    /// Lets everything vanish that the database's side sends, acknowledgements too, or lets it pass again.
    pub fn drop_packets(&self, is_dropped: bool) {
        let what = if is_dropped { "add" } else { "del" };
        let service = format!("{}/32", self.address(1, 2));
        assert!(run(&["route", what, "blackhole", &service]));
    }

    fn link(&self, link: u32) -> String {
        format!("tk{}n{link}", self.number)
    }

    /// The end of a link here (1) or there (2): each has four addresses of those kept for tests of networks
    /// (198.18.0.0/15).
    fn address(&self, link: u32, end: u32) -> String {
        let address = Ipv4Addr::from(0xc612_0000 + (self.number * 2 + link) * 4 + end);
        address.to_string()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // If it is there still.
        run(&["route", "del", "blackhole", &self.address(1, 2)]);
        for link in [0, 1] {
            run(&["link", "del", &self.link(link)]);
        }
        run(&["netns", "del", &self.name()]);
    }
}

fn run(arguments: &[&str]) -> bool {
    let mut ip = Command::new("ip");
    let quiet = ip
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

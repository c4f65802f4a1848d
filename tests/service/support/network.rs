//! A network of its own for a service: its requests come by one link, its database is behind another that can be cut.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many there may be beside one another.
const NETWORKS: u32 = 16_384;
/// The ends of each link, and an end that there is not.
const HERE: &str = "02:00:00:00:00:01";
const THERE: &str = "02:00:00:00:00:02";
const NOBODY: &str = "02:00:00:00:00:03";

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
            let peer = ["peer", "name", &inner, "address", THERE, "netns", &name];
            let add = ["link", "add", &outer, "address", HERE, "type", "veth"];
            run(&[add.as_slice(), &peer].concat())
                && run(&["addr", "add", &here, "dev", &outer])
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

    /// Lets everything vanish between the service and its database, or lets it pass again: each end sends to a
    /// neighbour that does not exist, and is told nothing.
    pub fn drop_packets(&self, is_dropped: bool) {
        let (outer, name) = (self.link(1), self.name());
        let inner = format!("{outer}i");
        let (here, there) = match is_dropped {
            true => (NOBODY, NOBODY),
            false => (HERE, THERE),
        };
        for (from, to, neighbour, link) in [
            (vec![], self.address(1, 2), there, &outer),
            (vec!["-n", name.as_str()], self.address(1, 1), here, &inner),
        ] {
            let entry = ["neigh", "replace", &to, "lladdr", neighbour, "dev", link];
            assert!(run(
                &[from.as_slice(), &entry, &["nud", "permanent"]].concat()
            ));
        }
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

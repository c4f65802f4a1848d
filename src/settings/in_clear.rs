//! Networks over which numbers would go in clear: in production only where a setting says that they are
//! private.

use super::Settings;
use super::database_url::{DatabaseUrl, is_this_machine};

const API: &str = "api_listen is reached from other machines over plain HTTP, which gives out numbers and \
     cryptograms: listen on a loopback address behind a proxy that ends TLS, or set api_network_is_private";
const DATABASE: &str = "database_url leads to another machine without sslmode=verify-full or verify-ca: \
     name one of them, or set database_network_is_private";

impl Settings {
    /// What is wrong with the network of the API, unless it is said to be private.
    pub fn api_in_clear(&self) -> Option<&'static str> {
        let host = self.api_listen.rsplit_once(':').map(|(host, _)| host);
        let host = host.unwrap_or(&self.api_listen);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_open = !is_this_machine(host) && !self.api_network_is_private;
        is_open.then_some(API)
    }

    /// What is wrong with the way to the database, unless its network is said to be private.
    pub fn database_in_clear(&self) -> Option<&'static str> {
        let url = DatabaseUrl::parse(&self.database_url);
        let is_open = url.is_ok_and(|url| url.goes_in_clear()) && !self.database_network_is_private;
        is_open.then_some(DATABASE)
    }
}

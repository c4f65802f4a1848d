//! What can be checked without a server: bodies, and the description against the routes.

mod bodies;
mod description;

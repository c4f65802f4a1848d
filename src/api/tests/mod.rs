//! What can be checked without a server: bodies, the count of failures, and the description against
//! the routes.

mod bodies;
mod description;
mod failures;

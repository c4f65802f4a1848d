//! What the oracle reads of the tables, beside the service.

use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use crate::oracle::Oracle;

/// The state of a card, as it is stored.
#[derive(QueryableByName)]
pub struct CardState {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    pub state: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

/// An event, as it is stored.
#[derive(QueryableByName)]
pub struct EventRow {
    #[diesel(sql_type = BigInt)]
    pub sequence: i64,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub card_id: String,
    #[diesel(sql_type = Text)]
    pub data: String,
}

/// A call that is not over.
#[derive(QueryableByName, Debug, Clone, PartialEq, Eq)]
pub struct Job {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub card_id: String,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = BigInt)]
    pub fence: i64,
    #[diesel(sql_type = BigInt)]
    pub next_at: i64,
    #[diesel(sql_type = Nullable<Integer>)]
    pub number_version: Option<i32>,
    #[diesel(sql_type = Integer)]
    pub priority: i32,
}

const JOBS: &str = "SELECT id, kind, card_id, state, attempts, fence, next_at, number_version, priority FROM outbox";
impl Oracle {
    pub fn number(&mut self, query: &str) -> i64 {
        sql_query(query)
            .get_result::<Number>(&mut self.sql)
            .unwrap()
            .n
    }

    pub fn texts(&mut self, query: &str) -> Vec<String> {
        let lines: Vec<Line> = sql_query(query).load(&mut self.sql).unwrap();
        lines.into_iter().map(|line| line.text).collect()
    }

    fn jobs_where(&mut self, condition: &str) -> Vec<Job> {
        let query = format!("{JOBS} WHERE {condition} ORDER BY id");
        sql_query(query).load(&mut self.sql).unwrap()
    }

    /// Calls that are not over, dead ones among them.
    pub fn open_jobs(&mut self) -> Vec<Job> {
        self.jobs_where("state IN ('waiting', 'running', 'parked', 'dead')")
    }

    pub fn job(&mut self, id: &str) -> Option<Job> {
        self.jobs_where(&format!("id = '{id}'")).pop()
    }

    pub fn card_state(&mut self, card: &str) -> String {
        let query = format!("SELECT state AS text FROM cards WHERE id = '{card}'");
        self.texts(&query).pop().unwrap_or_default()
    }

    pub fn is_kept(&mut self, delivery: &str) -> bool {
        self.number(&format!(
            "SELECT count(*) AS n FROM deliveries WHERE id = '{delivery}'"
        )) == 1
    }

    pub fn notifications(&mut self) -> Vec<String> {
        self.texts("SELECT id AS text FROM notifications ORDER BY delivery_sequence, item_index")
    }

    /// Items that a key may open.
    pub fn held(&mut self) -> Vec<String> {
        self.texts("SELECT id AS text FROM notifications WHERE hold = 'unknown-key' ORDER BY delivery_sequence, item_index")
    }

    pub fn verdicts(&mut self) -> Vec<String> {
        self.texts("SELECT verdict AS text FROM notifications")
    }

    pub fn is_busy(&mut self, card: &str) -> bool {
        self.number(&format!(
            "SELECT count(*) AS n FROM outbox WHERE card_id = '{card}' AND state = 'running'"
        )) > 0
    }

    /// Deliveries that wait, and calls that wait or are under way.
    pub fn unfinished(&mut self) -> i64 {
        self.number(
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 'waiting') \
             + (SELECT count(*) FROM outbox WHERE state IN ('waiting', 'running')) AS n",
        )
    }
}

//! What is kept no longer of the audit: chains as a whole, and the record that says so.
//!
//! A chain's age is that of its last record, whose hash nobody without the key can write; it is removed
//! only if all of it is as it was written. Removal and its record stand in one transaction, and what
//! that record says is written and read in this file alone.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};
use serde_json::{Value, json};

use super::walk::Walk;
use super::{AuditFilter, AuditRecord, Entry, Head};
use crate::audit::Act;
use crate::store::connection::on_backend;
use crate::store::notifications::from_json;
use crate::store::schema::{audit, audit_writers};
use crate::store::{StoreError, Tx};

/// How the audit is named where it is purged.
pub const AUDIT: &str = "audit";

/// Chains whose last record is older than `$1`. What says which chains were purged is never purged
/// itself.
fn due() -> String {
    let purged = Act::Purged.word();
    format!(
        "FROM audit_writers w JOIN audit a ON a.writer = w.writer AND a.place = w.place \
         WHERE a.hash = w.head AND a.at < $1 AND NOT EXISTS (SELECT 1 FROM audit o \
         WHERE o.writer = w.writer AND (o.place > w.place OR o.act = '{purged}'))"
    )
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Which chains a record says were purged, and where each ended.
pub(super) fn purged_by(record: &AuditRecord) -> Result<Vec<Head>, StoreError> {
    if record.act != Act::Purged.word() {
        return Ok(Vec::new());
    }
    let details: Value = from_json(&record.details)?;
    let own = match record.place {
        1 => details.get("of").unwrap_or(&Value::Null),
        _ => &details,
    };
    Ok(super::heads_in(own.get("upTo")))
}

impl Tx<'_> {
    /// How many chains ended before this.
    pub fn count_due_chains(&mut self, before: i64) -> Result<i64, StoreError> {
        let query = sql_query(format!("SELECT count(*) AS n {}", due())).bind::<BigInt, _>(before);
        let counted: Count = on_backend!(self.connection, c => query.get_result(c))?;
        Ok(counted.n)
    }

    /// The ends of the chains that ended before this.
    pub fn due_chains(&mut self, before: i64) -> Result<Vec<Head>, StoreError> {
        let due = due();
        let query = format!("SELECT w.writer, w.place, w.head AS hash {due} ORDER BY w.writer");
        let query = sql_query(query).bind::<BigInt, _>(before);
        Ok(on_backend!(self.connection, c => query.load(c))?)
    }

    /// Whether a chain is as it was written up to this end, but for records that an earlier purge of it
    /// has removed.
    pub fn chain_is_whole(&mut self, end: &Head) -> Result<bool, StoreError> {
        let mut walk = Walk::default();
        self.walk_through(&mut walk, Some(&end.writer))?;
        if walk.begins_late(&end.writer) {
            let of_purge = AuditFilter {
                act: Some(Act::Purged.word().to_owned()),
                object: Some(AUDIT.to_owned()),
                limit: i64::MAX,
                ..AuditFilter::default()
            };
            for record in self.list_audit(&of_purge)? {
                self.learn_from(&record, &mut walk)?;
            }
        }
        Ok(walk.is_whole_up_to(end))
    }

    /// Removes records of a chain that ended here, the oldest first, and records which chain it was. Returns
    /// how many went; none if the chain has gone on since.
    pub fn purge_chain(
        &mut self,
        end: &Head,
        before: i64,
        limit: i64,
        now: i64,
    ) -> Result<usize, StoreError> {
        let row = audit_writers::table
            .filter(audit_writers::writer.eq(&end.writer))
            .filter(audit_writers::place.eq(end.place))
            .filter(audit_writers::head.eq(&end.hash));
        if !diesel::select(diesel::dsl::exists(row)).get_result::<bool>(self.connection)? {
            return Ok(0);
        }
        let of_chain = || audit::table.filter(audit::writer.eq(&end.writer));
        let places: Vec<i64> = of_chain()
            .order(audit::place)
            .limit(limit)
            .select(audit::place)
            .load(self.connection)?;
        let upper = places.last().copied().unwrap_or(0);
        let rows =
            diesel::delete(of_chain().filter(audit::place.le(upper))).execute(self.connection)?;
        // As long as anything is left of it, its end is.
        if upper >= end.place {
            diesel::delete(row).execute(self.connection)?;
        }
        self.audit(Entry {
            act: Act::Purged,
            object: AUDIT,
            outcome: "done",
            details: json!({ "rows": rows, "before": before, "upTo": [end] }),
            at: now,
        })?;
        Ok(rows)
    }
}

//! Cards by the page: a program may have more than fit into one answer of the store.

use crate::store::{CardFilter, CardRow, Store, StoreError};

/// Cards of one look.
const PAGE: i64 = 500;

/// The cards that a filter chooses, by ascending id, from the first page to the last.
pub struct Pages<'a> {
    store: &'a Store,
    filter: CardFilter,
    is_over: bool,
}

impl<'a> Pages<'a> {
    /// Reads whole pages, whatever the filter's limit says.
    pub fn new(store: &'a Store, filter: CardFilter) -> Self {
        Self {
            store,
            filter: CardFilter {
                limit: PAGE,
                ..filter
            },
            is_over: false,
        }
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Vec<CardRow>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let page = self.store.read(|tx| tx.list_cards(&self.filter));
        match &page {
            Ok(rows) => {
                self.is_over = (rows.len() as i64) < PAGE;
                self.filter.after = rows.last().map(|row| row.card.id.to_string());
            }
            Err(_) => self.is_over = true,
        }
        Some(page)
    }
}

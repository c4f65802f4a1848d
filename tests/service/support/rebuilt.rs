//! Every card is what its recorded inputs lead to.

use tokenkeep::domain::{CardId, Policy};
use tokenkeep::processor::{Extent, Rebuild, Rebuilt};
use tokenkeep::store::Store;

use super::App;

/// Every card, recomputed by these rules.
pub fn rebuilt(store: &Store, policy: Policy) -> Vec<(CardId, Rebuilt)> {
    let rebuild = Rebuild::new(policy);
    let ids = store.read(|tx| tx.card_ids_after("", 1_000_000)).unwrap();
    let card = |id: String| {
        let id = CardId::parse(&id).unwrap();
        let rebuilt = store.snapshot(|tx| rebuild.card(tx, &id)).unwrap();
        (id, rebuilt.unwrap())
    };
    ids.into_iter().map(card).collect()
}

/// No card differs, and no input is missing. Returns how many cards were compared.
pub fn assert_rebuilt(store: &Store, policy: Policy) -> usize {
    let cards = rebuilt(store, policy);
    for (id, rebuilt) in &cards {
        assert!(rebuilt.differences.is_empty(), "{id}: {rebuilt:#?}");
        assert_ne!(rebuilt.extent, Extent::Partly, "{id}: {rebuilt:#?}");
    }
    let without_row = store.snapshot(|tx| tx.cards_without_row()).unwrap();
    assert!(without_row.is_empty(), "{without_row:?}");
    cards.len()
}

impl App {
    /// See [`assert_rebuilt`].
    pub fn assert_rebuilt(&self) -> usize {
        assert_rebuilt(self.store(), self.settings.policy())
    }
}

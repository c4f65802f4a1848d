//! The two sides of the sandbox that keep tokens only, from a program: Processing Digital and the bank.

use super::{Sandbox, processing};

impl Sandbox {
    /// The `base_url` of a program of Processing Digital that is to call it.
    pub fn processing_url(&self) -> String {
        format!("http://{}{}", self.address, processing::BASE_PATH)
    }

    /// The `base_url` of a program of the bank that is to call it.
    pub fn alliance_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds an active token to a card contract, which may be new.
    pub fn add_token(&self, contract: &str, client: &str, number: &str) {
        let now = self.shared.clock.now();
        self.shared.contracts().add(contract, client, number, now);
    }

    /// Gives a token of a card contract another status, in Mastercard's words or any other. Does
    /// nothing where there is no such token.
    pub fn set_token_status(&self, number: &str, status: &str) {
        self.shared.contracts().set(number, status);
    }

    /// How a token of a card contract stands: `Active`, `Suspended` or `Deactivated`.
    pub fn token_status(&self, number: &str) -> Option<String> {
        let contracts = self.shared.contracts();
        contracts.get(number).map(|token| token.status.clone())
    }

    /// The commands that were carried out for a card contract, in order: the last four digits of the
    /// token if it was for one, and the status that it has given.
    pub fn carried_out(&self, contract: &str) -> Vec<(Option<String>, &'static str)> {
        let done = self.shared.contracts().carried_out(contract).into_iter();
        let shown = |number: String| processing::last_four(&number);
        done.map(|(number, status)| (number.map(shown), status))
            .collect()
    }

    /// Gives a card contract another status: 05 suspends its active tokens. Does nothing where there
    /// is no such contract.
    pub fn set_contract_status(&self, contract: &str, code: &str) {
        self.shared.contracts().set_code(contract, code);
    }

    /// Moves the tokens of a card contract to another one.
    pub fn relink(&self, old: &str, new: &str) {
        self.shared.contracts().relink(old, new);
    }

    /// Adds an active token of a customer at the bank.
    pub fn add_bank_token(&self, token: &str, customer: &str) {
        self.shared.bank_tokens().add(token, customer);
    }

    /// Gives a token of the bank another state, in the bank's words or any other. Does nothing where
    /// there is no such token.
    pub fn set_bank_token(&self, token: &str, state: &str) {
        self.shared.bank_tokens().set(token, state);
    }

    /// The state of a token of the bank: `ACTIVE`, `SUSPENDED`, `OBSOLETE` or `DELETED`.
    pub fn bank_token(&self, token: &str) -> Option<String> {
        let tokens = self.shared.bank_tokens();
        tokens.get(token).map(|token| token.state.clone())
    }
}

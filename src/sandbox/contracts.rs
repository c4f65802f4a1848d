//! Card contracts and their tokens, as the processor of their issuer keeps them.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::telemetry::timestamp;

/// How a token stands, in the words of the answers.
pub(super) const ACTIVE: &str = "Active";
pub(super) const SUSPENDED: &str = "Suspended";
/// For good.
pub(super) const DEACTIVATED: &str = "Deactivated";

/// The code of a contract that can be used.
const IN_ORDER: &str = "00";
/// The code that suspends the active tokens of its contract. All others leave them as they are, those
/// of a card that was lost (41) or stolen (43) too.
const SUSPENDS: &str = "05";

/// Contract, client and number of the tokens that are there from the start. The first number and its
/// ids are those of Mastercard's own sandbox.
const SEEDS: [(&str, &str, &str); 3] = [
    ("70001", "40000", "5598765432109876"),
    ("70001", "40000", "5598765432102345"),
    (DEAD_CONTRACT, "40001", "5598765432103456"),
];
/// The contract whose tokens are all deactivated.
const DEAD_CONTRACT: &str = "90001";

/// A token of a contract. Holds a full number, so it cannot be printed.
#[derive(Clone)]
pub(super) struct ContractToken {
    pub(super) contract: String,
    pub(super) client: String,
    pub(super) number: String,
    pub(super) status: String,
    /// Counts the tokens, so that each has references of its own.
    place: usize,
    created_at: i64,
}

impl ContractToken {
    /// The token in full, under that number: only to be encrypted.
    pub(super) fn details(&self, number: &str) -> Value {
        json!({
            "cardContractId": id(&self.contract),
            "cardContractNumber": "535585______6188",
            "clientId": id(&self.client),
            "clientShortName": "John Smith",
            "deviceName": "John's phone",
            "deviceType": "21",
            "panUniqueReference": format!("FSHRMC2200000000000000000000000000000000{:08}", self.place),
            "tokenCreationDate": timestamp(self.created_at),
            "tokenExpiryDate": "3112",
            "tokenNumber": number,
            "tokenRequestorId": "50120834693",
            "tokenStatus": self.status,
            "tokenType": "C",
            "tokenUniqueReference": format!("DSHRMC2200000000000000000000000000000000{:08}", self.place),
            "walletName": "Google Pay",
        })
    }
}

/// Commands that are remembered; older ones are forgotten.
const REMEMBERED: usize = 100_000;

/// A command that was carried out: the contract, the token if it was for one, the status it has now.
struct CarriedOut {
    contract: String,
    number: Option<String>,
    status: &'static str,
}

/// All contracts that there are, and their tokens.
#[derive(Default)]
pub(super) struct Contracts {
    /// The status code of each, by its id.
    codes: BTreeMap<String, String>,
    /// By number.
    tokens: BTreeMap<String, ContractToken>,
    carried_out: VecDeque<CarriedOut>,
}

impl Contracts {
    /// The contracts that there are from the start.
    pub(super) fn seeded(now: i64) -> Self {
        let mut contracts = Self::default();
        for (contract, client, number) in SEEDS {
            contracts.add(contract, client, number, now);
        }
        contracts.command(DEAD_CONTRACT, None, DEACTIVATED);
        contracts
    }

    /// Adds an active token, in the place of one of the same number if there is one.
    pub(super) fn add(&mut self, contract: &str, client: &str, number: &str, now: i64) {
        self.note(contract);
        let token = ContractToken {
            contract: contract.to_owned(),
            client: client.to_owned(),
            number: number.to_owned(),
            status: ACTIVE.to_owned(),
            place: self.tokens.len() + 1,
            created_at: now,
        };
        self.tokens.insert(number.to_owned(), token);
    }

    pub(super) fn get(&self, number: &str) -> Option<&ContractToken> {
        self.tokens.get(number)
    }

    /// Gives a token any status, whatever it has.
    pub(super) fn set(&mut self, number: &str, status: &str) {
        if let Some(token) = self.tokens.get_mut(number) {
            status.clone_into(&mut token.status);
        }
    }

    /// Does what the merchant asks for: with one token of a contract, or with all of them. Returns
    /// whether there was one that is not deactivated.
    pub(super) fn command(
        &mut self,
        contract: &str,
        number: Option<&str>,
        status: &'static str,
    ) -> bool {
        let mut found = false;
        for token in self.tokens.values_mut() {
            let is_meant = token.contract == contract
                && number.is_none_or(|number| token.number == number)
                && token.status != DEACTIVATED;
            if is_meant {
                status.clone_into(&mut token.status);
                found = true;
            }
        }
        if found {
            self.note_carried_out(contract, number, status);
        }
        found
    }

    fn note_carried_out(&mut self, contract: &str, number: Option<&str>, status: &'static str) {
        if self.carried_out.len() == REMEMBERED {
            self.carried_out.pop_front();
        }
        self.carried_out.push_back(CarriedOut {
            contract: contract.to_owned(),
            number: number.map(str::to_owned),
            status,
        });
    }

    /// The commands that were carried out for a contract, in order: the token if it was for one, and
    /// the status that it has given.
    pub(super) fn carried_out(&self, contract: &str) -> Vec<(Option<String>, &'static str)> {
        let done = self.carried_out.iter();
        let of_contract = done.filter(|done| done.contract == contract);
        of_contract
            .map(|done| (done.number.clone(), done.status))
            .collect()
    }

    /// The contracts with their codes and tokens, by id.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str, Vec<&ContractToken>)> {
        self.codes
            .iter()
            .map(|(id, code)| (id.as_str(), code.as_str(), self.with_contract(id)))
    }

    /// None if there is no such contract.
    pub(super) fn of_contract(&self, id: &str) -> Option<Vec<&ContractToken>> {
        self.codes.contains_key(id).then(|| self.with_contract(id))
    }

    /// None if there is no such client.
    pub(super) fn of_client(&self, id: &str) -> Option<Vec<&ContractToken>> {
        let tokens = self.tokens.values().filter(|token| token.client == id);
        let tokens: Vec<_> = tokens.collect();
        (!tokens.is_empty()).then_some(tokens)
    }

    fn with_contract(&self, id: &str) -> Vec<&ContractToken> {
        let tokens = self.tokens.values();
        tokens.filter(|token| token.contract == id).collect()
    }

    /// Gives a contract another status code. Returns whether there is such a contract.
    pub(super) fn set_code(&mut self, contract: &str, code: &str) -> bool {
        let Some(known) = self.codes.get_mut(contract) else {
            return false;
        };
        code.clone_into(known);
        let active = self
            .tokens
            .values_mut()
            .filter(|token| token.contract == contract && token.status == ACTIVE);
        if code == SUSPENDS {
            active.for_each(|token| SUSPENDED.clone_into(&mut token.status));
        }
        true
    }

    /// Moves the tokens of a contract to another, which may be new. Returns whether there is such a
    /// contract.
    pub(super) fn relink(&mut self, old: &str, new: &str) -> bool {
        if !self.codes.contains_key(old) {
            return false;
        }
        self.note(new);
        let moved = self.tokens.values_mut();
        for token in moved.filter(|token| token.contract == old) {
            new.clone_into(&mut token.contract);
        }
        true
    }

    fn note(&mut self, contract: &str) {
        let code = self.codes.entry(contract.to_owned());
        code.or_insert_with(|| IN_ORDER.to_owned());
    }
}

/// Ids are numbers in the answers, as far as they are digits.
fn id(text: &str) -> Value {
    text.parse::<u64>().map_or(text.into(), Value::from)
}

//! Cells of the matrix of token commands: a card of its own in each, and how its command must end.

use serde_json::{Value, json};
use tokenkeep::domain::TokenCommand::{self, Deactivate, Resume, Suspend};
use tokenkeep::sandbox::{Fault, Operation};

/// Where a card's tokens live, and which of them a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One of the two tokens of a card contract.
    One,
    /// Both of them.
    All,
    /// The bank's token that a card is.
    Bank,
    /// A card of Checkout.
    Checkout,
}

/// What is known of the token, and which command waits, when the command is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    Unknown,
    Active,
    Suspended,
    Deleted,
    /// ACTIVE, and a suspension that was never sent.
    SuspendWaits,
    /// SUSPENDED, and a resumption that was never sent.
    ResumeWaits,
    /// ACTIVE, and a deactivation that was never sent.
    DeactivateWaits,
}

/// What the other side answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Ok,
    Refused,
    UnknownToken,
    Nothing,
    Unavailable,
    BadSignature,
    OtherToken,
    ErrorWithin200,
    NotUpdated,
}

/// How the first attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Done,
    Retry(Option<i32>, &'static str),
    Parked(i32, &'static str),
}

pub const REACHES: [Reach; 4] = [Reach::One, Reach::All, Reach::Bank, Reach::Checkout];
pub const BEFORE: [Before; 7] = [
    Before::Unknown,
    Before::Active,
    Before::Suspended,
    Before::Deleted,
    Before::SuspendWaits,
    Before::ResumeWaits,
    Before::DeactivateWaits,
];
pub const ANSWERS: [Said; 9] = [
    Said::Ok,
    Said::Refused,
    Said::UnknownToken,
    Said::Nothing,
    Said::Unavailable,
    Said::BadSignature,
    Said::OtherToken,
    Said::ErrorWithin200,
    Said::NotUpdated,
];

/// One card and the command for it.
#[derive(Debug, Clone)]
pub struct Cell {
    pub reach: Reach,
    pub before: Before,
    pub command: TokenCommand,
    pub said: Said,
    pub card: String,
    /// The texts of its tokens; a command for one is for the first.
    pub tokens: Vec<String>,
}

/// All cells.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for reach in REACHES {
        for before in BEFORE {
            for command in TokenCommand::ALL {
                for said in ANSWERS {
                    cells.push(Cell::new(cells.len(), (reach, before, command, said)));
                }
            }
        }
    }
    cells
}

impl Cell {
    fn new(number: usize, cell: (Reach, Before, TokenCommand, Said)) -> Self {
        let (reach, before, command, said) = cell;
        let of_contract = |place: usize| format!("5598{:012}", number * 10 + place);
        Self {
            card: (100_000 + number).to_string(),
            tokens: match reach {
                Reach::One | Reach::All => vec![of_contract(1), of_contract(2)],
                Reach::Bank => vec![format!("-bank{number:018}_A")],
                Reach::Checkout => vec![],
            },
            reach,
            before,
            command,
            said,
        }
    }

    /// A program for few cells each: where every call fails, its calls are held back.
    pub fn program(&self) -> String {
        format!("{:?}-{:?}-{:?}", self.reach, self.command, self.said).to_lowercase()
    }

    /// What the merchant's app sends.
    pub fn body(&self, command: TokenCommand) -> Value {
        let mut body = json!({ "tokenStatus": command.word() });
        if let (Reach::One, Some(token)) = (self.reach, self.tokens.first()) {
            body["tokenNumber"] = token.as_str().into();
        }
        body
    }

    pub fn registration(&self) -> Value {
        let mut body = json!({ "program": self.program() });
        match self.reach {
            Reach::One | Reach::All => {
                let tokens = self
                    .tokens
                    .iter()
                    .map(|text| json!({ "tokenNumber": text }));
                body["tokens"] = tokens.collect();
            }
            Reach::Bank => body["token"] = json!({ "paymentToken": self.tokens[0] }),
            Reach::Checkout => {}
        }
        body
    }

    /// What the other side holds when the command is given.
    pub fn there(&self) -> &'static str {
        match self.before {
            Before::Suspended | Before::ResumeWaits => "SUSPENDED",
            Before::Unknown if self.command == Resume => "SUSPENDED",
            Before::Deleted => "DELETED",
            _ => "ACTIVE",
        }
    }

    /// The command that waits already.
    pub fn waiting(&self) -> Option<TokenCommand> {
        match self.before {
            Before::SuspendWaits => Some(Suspend),
            Before::ResumeWaits => Some(Resume),
            Before::DeactivateWaits => Some(Deactivate),
            _ => None,
        }
    }

    /// The card is gone, not only its token.
    pub fn has_ended(&self) -> bool {
        self.before == Before::Deleted && self.reach != Reach::One
    }

    /// The HTTP status that the command is answered with, and the refusal's code.
    pub fn answered(&self) -> (u16, &'static str) {
        if self.reach == Reach::Checkout {
            return match (self.command, self.before) {
                (Deactivate, Before::Deleted | Before::DeactivateWaits) => (200, "no_change"),
                (Deactivate, _) => (202, "queued"),
                (_, Before::Deleted | Before::DeactivateWaits) => (410, "terminal"),
                _ => (409, "not-offered-by-program"),
            };
        }
        match (self.before, self.command) {
            (Before::Deleted, Deactivate) => (200, "no_change"),
            (Before::Deleted, _) if self.has_ended() => (410, "terminal"),
            (Before::Deleted | Before::DeactivateWaits, Suspend | Resume) => {
                (409, "illegal-transition")
            }
            (Before::Active, Resume) | (Before::Suspended, Suspend) => (200, "no_change"),
            // It waits already, or what waits is taken back.
            (Before::SuspendWaits | Before::ResumeWaits, Suspend | Resume) => (200, "no_change"),
            (Before::DeactivateWaits, Deactivate) => (200, "no_change"),
            _ => (202, "queued"),
        }
    }

    /// The command that is carried out in the end, if one is.
    pub fn sent(&self) -> Option<TokenCommand> {
        if self.reach == Reach::Checkout {
            let is_new = self.command == Deactivate && self.before != Before::Deleted;
            return (is_new || self.before == Before::DeactivateWaits).then_some(Deactivate);
        }
        match (self.answered(), self.waiting()) {
            ((202, _), _) => Some(self.command),
            (_, Some(Deactivate)) => Some(Deactivate),
            (_, Some(waiting)) if waiting == self.command => Some(waiting),
            _ => None,
        }
    }

    /// How the first attempt at it ends.
    pub fn end(&self) -> End {
        use End::{Done, Parked, Retry};
        match (self.reach, self.said) {
            (_, Said::Ok) => Done,
            (_, Said::Nothing) => Retry(None, "timeout"),
            (Reach::Bank, said) => match said {
                Said::Refused => Parked(400, "b_request_is_not_correct"),
                Said::UnknownToken => Parked(200, "not-found"),
                Said::Unavailable => Retry(Some(503), "b_server_is_overloaded"),
                Said::BadSignature => Retry(Some(200), "jws-wrong-signature"),
                Said::OtherToken => Retry(Some(200), "other-token"),
                Said::ErrorWithin200 => Parked(200, "b_merchant_not_found"),
                _ => Parked(200, "token-not-updated"),
            },
            (_, Said::Refused) => Parked(400, "INVALID_ARGUMENT"),
            (_, Said::UnknownToken) => Parked(404, "not-found"),
            (_, Said::Unavailable) => Retry(Some(503), "UNAVAILABLE"),
            (Reach::Checkout, Said::ErrorWithin200) => Retry(Some(200), "wrong-schema"),
            (_, Said::ErrorWithin200) => Retry(Some(200), "unexpected-success"),
            // These answers are not signed, and name no token.
            _ => Done,
        }
    }
}

/// Where a command for these tokens goes.
pub fn operation(reach: Reach) -> Operation {
    match reach {
        Reach::One | Reach::All => Operation::SetTokenStatus,
        Reach::Bank => Operation::UpdateTokenState,
        Reach::Checkout => Operation::DeleteCard,
    }
}

/// What spoils an answer so.
pub fn fault(reach: Reach, said: Said) -> Option<Fault> {
    match (reach, said) {
        (_, Said::Ok) => None,
        (_, Said::Refused) => Some(Fault::service_error(400)),
        (Reach::Bank, Said::UnknownToken) => Some(Fault::ErrorWithin200("b_token_not_found")),
        (_, Said::UnknownToken) => Some(Fault::service_error(404)),
        (_, Said::Nothing) => Some(Fault::Hang),
        (_, Said::Unavailable) => Some(Fault::service_error(503)),
        (Reach::Bank, Said::BadSignature) => Some(Fault::WrongSignature),
        (Reach::Bank, Said::OtherToken) => Some(Fault::OtherCard),
        (Reach::Bank, Said::ErrorWithin200) => Some(Fault::ErrorWithin200("b_merchant_not_found")),
        (_, Said::ErrorWithin200) => Some(Fault::WrongSchema),
        (Reach::Bank, Said::NotUpdated) => Some(Fault::NotUpdated),
        _ => None,
    }
}

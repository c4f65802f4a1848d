//! Items and registrations as a test writes them.

use serde_json::Value;
use tokenkeep::domain::{
    CardId, Expiry, Hold, MaskedFields, Payment, PaymentData, Registration, ReportedStatus,
    TokenNumber,
};

pub const CARD: &str = "card-1";

/// One item of a notification about [`CARD`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// None: an untimed item.
    pub time: Option<i64>,
    pub status: ReportedStatus,
    pub masked: MaskedFields,
    pub refresh: Option<Token>,
    /// The refresh cannot be opened as yet.
    pub is_unreadable: bool,
    /// Content that no register keeps, such as the reason code.
    pub remark: &'static str,
}

/// Number and expiry (`MM/YYYY`) as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    pub number: String,
    pub expiry: Option<String>,
}

pub fn reports(word: &str, time: i64) -> Item {
    Item {
        time: Some(time),
        status: ReportedStatus::from_word(word),
        masked: MaskedFields::new(),
        refresh: None,
        is_unreadable: false,
        remark: "",
    }
}

pub fn active(time: i64) -> Item {
    reports("ACTIVE", time)
}

pub fn suspended(time: i64) -> Item {
    reports("SUSPENDED", time)
}

pub fn cancelled(time: i64) -> Item {
    reports("CANCELLED", time)
}

impl Item {
    pub fn untimed(self) -> Self {
        Self { time: None, ..self }
    }

    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.masked.insert(field.to_owned(), value.into());
        self
    }

    pub fn refresh(self, number: &str, expiry: &str) -> Self {
        let refresh = Some(Token::new(number, Some(expiry)));
        Self { refresh, ..self }
    }

    pub fn refresh_without_expiry(self, number: &str) -> Self {
        let refresh = Some(Token::new(number, None));
        Self { refresh, ..self }
    }

    pub fn unreadable(self) -> Self {
        Self {
            is_unreadable: true,
            ..self
        }
    }

    pub fn opened(self) -> Self {
        Self {
            is_unreadable: false,
            ..self
        }
    }

    pub fn remark(self, remark: &'static str) -> Self {
        Self { remark, ..self }
    }

    pub fn is_cancelled(&self) -> bool {
        self.status == ReportedStatus::Cancelled
    }

    /// Stands for the keyed hash of the content; none while the item cannot be read.
    pub fn digest(&self) -> Option<String> {
        (!self.is_unreadable).then(|| format!("{self:?}"))
    }

    pub fn payment(&self) -> Payment {
        match &self.refresh {
            _ if self.is_unreadable => Payment::Unreadable(Hold::UNKNOWN_KEY),
            Some(token) => Payment::Opened(token.data()),
            None => Payment::Absent,
        }
    }
}

impl Token {
    pub fn new(number: &str, expiry: Option<&str>) -> Self {
        Self {
            number: number.to_owned(),
            expiry: expiry.map(str::to_owned),
        }
    }

    pub fn data(&self) -> PaymentData {
        PaymentData {
            number: TokenNumber::parse(&self.number).unwrap(),
            expiry: self.expiry.as_deref().map(expiry),
        }
    }

    /// The expiry as (month, year), empty if there is none.
    pub fn month_and_year(&self) -> (&str, &str) {
        let split = self.expiry.as_deref().map(|text| text.split_once('/'));
        split.flatten().unwrap_or_default()
    }
}

pub fn expiry(text: &str) -> Expiry {
    let (month, year) = text.split_once('/').unwrap();
    Expiry::parse(month, year).unwrap()
}

pub fn card_id() -> CardId {
    CardId::parse(CARD).unwrap()
}

/// What the merchant's app says of [`CARD`].
#[derive(Debug, Clone, Default)]
pub struct Register {
    pub program: Option<&'static str>,
    pub consumer: Option<&'static str>,
    pub masked: MaskedFields,
    pub token: Option<Token>,
}

impl Register {
    /// A registration under a program, as it usually is.
    pub fn under(program: &'static str) -> Self {
        Self {
            program: Some(program),
            consumer: Some("consumer-1"),
            ..Self::default()
        }
    }

    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.masked.insert(field.to_owned(), value.into());
        self
    }

    pub fn token(self, number: &str, expiry: &str) -> Self {
        let token = Some(Token::new(number, Some(expiry)));
        Self { token, ..self }
    }

    pub fn input(&self, received_at: i64) -> Registration {
        Registration {
            tokens: Vec::new(),
            card_id: card_id(),
            program: self.program.map(str::to_owned),
            consumer_reference: self.consumer.map(str::to_owned),
            masked: self.masked.clone(),
            token: self.token.as_ref().map(Token::data),
            received_at,
        }
    }
}

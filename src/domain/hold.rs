//! Why an item is held, and what ends that.

/// Why an item is parked or quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold(pub &'static str);

impl Hold {
    pub const UNKNOWN_CARD: Self = Self("unknown-card");
    pub const STATUS_UNKNOWN: Self = Self("status-unknown");
    pub const BOTH_FORMS: Self = Self("both-forms");
    pub const UNKNOWN_KEY: Self = Self("unknown-key");
    /// What is encrypted does not open, or does not hold what it should.
    pub const UNREADABLE: Self = Self("unreadable");
    /// Not a list of objects, so no item can be made out.
    pub const NOT_A_NOTIFICATION: Self = Self("not-a-notification");
    /// A refresh came without its data.
    pub const PAYMENT_DATA_MISSING: Self = Self("payment-data-missing");
    pub const NO_CARD_ID: Self = Self("no-card-id");
    pub const DIGITS_DISAGREE: Self = Self("digits-disagree");
    pub const PROCESSING_FAILED: Self = Self("processing-failed");
}

impl Hold {
    /// Why an item's payment data cannot be opened or read.
    const OF_PAYMENT: [Self; 3] = [
        Self::UNKNOWN_KEY,
        Self::UNREADABLE,
        Self::PAYMENT_DATA_MISSING,
    ];

    /// The hold of this name that says why payment data could not be read, if it is one.
    pub fn of_payment(name: &str) -> Option<Self> {
        Self::OF_PAYMENT.into_iter().find(|hold| hold.0 == name)
    }

    /// A key, a registration, another setting or a newer tokenkeep may open what is held; nothing
    /// opens the others.
    pub fn may_open_later(self) -> bool {
        Self::named_may_open_later(self.0)
    }

    /// The same for a hold known by its name.
    pub fn named_may_open_later(name: &str) -> bool {
        [
            Self::UNKNOWN_CARD,
            Self::UNKNOWN_KEY,
            Self::UNREADABLE,
            Self::BOTH_FORMS,
            Self::PROCESSING_FAILED,
        ]
        .iter()
        .any(|hold| hold.0 == name)
    }

    /// What helps against a hold known by its name.
    pub fn help(name: &str) -> Option<&'static str> {
        let mut known = HELP.iter().filter(|(hold, _)| hold.0 == name);
        known.next().map(|(_, help)| *help)
    }
}

/// What helps against each, for whoever looks at one.
const HELP: [(Hold, &str); 10] = [
    (
        Hold::UNKNOWN_CARD,
        "Register the card: it is judged anew by itself.",
    ),
    (
        Hold::STATUS_UNKNOWN,
        "Ask Mastercard what the word means, add it to status_words, restart, and replay it.",
    ),
    (
        Hold::BOTH_FORMS,
        "Let both_forms say which of the two lists counts, restart, and replay it.",
    ),
    (
        Hold::UNKNOWN_KEY,
        "Put the key that the log names, or an alias for it, into the key folder: it is judged anew by itself.",
    ),
    (
        Hold::UNREADABLE,
        "Its key is here. See whether processor.enc allows its encryption; else ask Mastercard.",
    ),
    (
        Hold::NOT_A_NOTIFICATION,
        "Nothing here opens it: ask Mastercard what was sent.",
    ),
    (
        Hold::PAYMENT_DATA_MISSING,
        "Nothing here opens it: the program is asked for the card; ask Mastercard why no data came.",
    ),
    (
        Hold::NO_CARD_ID,
        "See whether the field has another name (notification.aliases); else ask Mastercard.",
    ),
    (
        Hold::DIGITS_DISAGREE,
        "Ask Mastercard which number is right; payment_data_mismatch says whether the decrypted one counts.",
    ),
    (
        Hold::PROCESSING_FAILED,
        "Keep the log of that time, report it, and replay it after an upgrade.",
    ),
];

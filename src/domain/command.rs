//! Whether a token command may be given, judged on the state after the commands that wait.

use super::{Card, CardToken, TokenCommand, TokenStatus};

/// Where a command stands that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandState {
    Waiting,
    Running,
    /// Refused by the other side: it waits for an operator.
    Parked,
}

/// A command that was given and is not over.
#[derive(Debug, Clone)]
pub struct OpenCommand {
    /// The call that carries it.
    pub job: String,
    /// The token it is for; none for all of the card.
    pub token: Option<String>,
    pub command: TokenCommand,
    pub state: CommandState,
    /// No attempt of it has been made.
    pub never_sent: bool,
}

/// What becomes of a command that is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It is queued; these waiting commands of equal scope give way to it.
    Queue { supersedes: Vec<String> },
    /// It would change nothing: `job` carries the same command already, if one does. What waited and
    /// was never sent gives way even so.
    NoChange {
        supersedes: Vec<String>,
        job: Option<String>,
    },
    /// Nothing leads from this status to the one that is wanted.
    Illegal { from: TokenStatus },
}

impl OpenCommand {
    fn covers(&self, token: Option<&str>) -> bool {
        self.token.is_none() || self.token.as_deref() == token
    }

    /// What was refused changes nothing; but a deactivation that was asked for is never taken back.
    fn counts(&self) -> bool {
        self.state != CommandState::Parked || self.command == TokenCommand::Deactivate
    }

    fn gives_way(&self, token: Option<&str>) -> bool {
        self.token.as_deref() == token
            && self.command != TokenCommand::Deactivate
            && self.state != CommandState::Running
    }
}

/// Rules on a command for one token of a card, or for all of them. `open` is in the order in which
/// the commands were given.
pub fn rule_on_command(
    card: &Card,
    token: Option<&str>,
    command: TokenCommand,
    open: &[OpenCommand],
) -> Ruling {
    let after = states(card, token, &Vec::from_iter(open));
    if let Some(from) = after
        .iter()
        .flatten()
        .find(|from| is_illegal(from, command))
    {
        return Ruling::Illegal {
            from: (*from).clone(),
        };
    }
    let is_there = |states: &[Option<TokenStatus>]| {
        let target = Some(command.target());
        !states.is_empty() && states.iter().all(|state| *state == target)
    };
    if is_there(&after) {
        let same = |open: &&OpenCommand| open.command == command && open.counts();
        let carries = open
            .iter()
            .rev()
            .find(|open| same(open) && open.covers(token));
        return Ruling::NoChange {
            supersedes: Vec::new(),
            job: carries.map(|open| open.job.clone()),
        };
    }
    let (yielding, staying): (Vec<_>, Vec<_>) = open.iter().partition(|c| c.gives_way(token));
    let supersedes = yielding.iter().map(|open| open.job.clone()).collect();
    // What never went out leaves no trace there: taking it back may be all there is to do.
    let nothing_sent = yielding.iter().all(|open| open.never_sent);
    match nothing_sent && is_there(&states(card, token, &staying)) {
        true => Ruling::NoChange {
            supersedes,
            job: None,
        },
        false => Ruling::Queue { supersedes },
    }
}

/// The status of each token in the command's reach, after these commands; none where none is known.
/// A deleted token is in nobody's reach but its own. A card without tokens counts as one unknown one.
fn states(card: &Card, token: Option<&str>, open: &[&OpenCommand]) -> Vec<Option<TokenStatus>> {
    let is_meant = |known: &&CardToken| match token {
        Some(id) => known.id == id,
        None => !known.has_ended(),
    };
    let after = |id: Option<&str>, stored: Option<&TokenStatus>| {
        let counting = open.iter().filter(|open| open.counts() && open.covers(id));
        counting.fold(stored.cloned(), |state, open| match state {
            Some(TokenStatus::Deleted) => state,
            _ => Some(open.command.target()),
        })
    };
    if card.tokens.is_empty() {
        return vec![after(None, None)];
    }
    let meant = card.tokens.iter().filter(is_meant);
    let mut states: Vec<_> = meant
        .map(|known| after(Some(&known.id), known.status()))
        .collect();
    if states.is_empty() {
        states.push(Some(TokenStatus::Deleted));
    }
    states
}

/// Of the statuses that are known, only two lead anywhere; of an unknown word the other side judges.
fn is_illegal(from: &TokenStatus, command: TokenCommand) -> bool {
    match from {
        TokenStatus::Deleted => command != TokenCommand::Deactivate,
        TokenStatus::Obsolete => true,
        TokenStatus::Active | TokenStatus::Suspended | TokenStatus::Other(_) => false,
    }
}

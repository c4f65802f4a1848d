//! Where on a notification's way a thread of the service is, told by what it asks of the system.
//!
//! Nothing changes outside of a process between two of its system calls: a point of the way is the call that comes
//! next. SQLite's writer takes byte 120 of the shared memory, writes frames of which the last tells the database's
//! size, syncs and lets go; PostgreSQL's is seen in what is sent.

use std::path::Path;

use super::disk_trace::bytes;
use super::strace::Nth;

/// A thread of the service, or all of them while one of them comes to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads requests and answers them.
    Receiver,
    Intake,
    Processor,
    Dispatcher,
    /// Makes a call: from when it waits for the answer on.
    Call,
    /// The same before: such a thread is seen only as one of all.
    Caller,
}

/// The points that must be met, in their order.
pub const POINTS: [&str; 11] = [
    "after parse",
    "before insert",
    "after insert",
    "before commit",
    "after commit before answer",
    "after answer",
    "job claimed",
    "before call",
    "after call",
    "before completion commit",
    "after completion commit",
];

const ELSEWHERE: &str = "elsewhere";

impl Role {
    /// How the system names its threads.
    pub fn thread_name(self) -> &'static str {
        match self {
            Self::Receiver => "actix-rt|system",
            Self::Intake => "intake",
            Self::Processor => "processor",
            Self::Dispatcher => "dispatcher",
            Self::Call | Self::Caller => "call",
        }
    }

    /// The calls that are told apart: those that others can see something of.
    pub fn calls(self) -> String {
        let database = "fcntl,pwrite64,fsync,fdatasync,ftruncate,sendto,recvfrom";
        match self {
            Self::Receiver => "recvfrom,futex,sendto".to_owned(),
            Self::Intake => format!("{database},write,futex"),
            Self::Processor | Self::Call => format!("{database},futex"),
            Self::Dispatcher => format!("{database},clone3"),
            Self::Caller => "connect,setsockopt,sendto".to_owned(),
        }
    }

    /// Where a thread is that begins the last of these calls, after the others.
    pub fn point(self, asked: &[Asked]) -> &'static str {
        let Some((last, before)) = asked.split_last() else {
            return ELSEWHERE;
        };
        let of_thread = || before.iter().filter(|asked| asked.thread == last.thread);
        let has = |call: &str| of_thread().any(|asked| asked.call == call);
        match self {
            Self::Receiver if has("sendto") => "after answer",
            Self::Receiver if last.call == "recvfrom" => "before parse",
            Self::Receiver if !has("recvfrom") => ELSEWHERE,
            Self::Receiver if last.call == "sendto" => "before answer",
            Self::Receiver => "after parse",
            Self::Caller if last.is_of_database() => ELSEWHERE,
            Self::Caller if has("sendto") => "in the call",
            Self::Caller => "before call",
            Self::Dispatcher if last.call == "clone3" => "job claimed",
            Self::Call if before.is_empty() => "in the call",
            _ => self.point_of(Phase::of(before, last)),
        }
    }

    /// What a phase of its transactions is called.
    fn point_of(self, phase: Phase) -> &'static str {
        let names = match self {
            Self::Intake => [
                "before insert",
                "after insert",
                "before commit",
                "in the commit",
                "after commit before answer",
            ],
            Self::Dispatcher => [
                "before claim",
                "in the claim",
                "before the claim's commit",
                "in the claim's commit",
                "after the claim's commit",
            ],
            Self::Call => [
                "after call",
                "in the completion",
                "before completion commit",
                "in the completion commit",
                "after completion commit",
            ],
            _ => [
                "before decision",
                "in the decision",
                "before the decision's commit",
                "in the decision's commit",
                "after the decision's commit",
            ],
        };
        names[phase as usize]
    }
}

/// How far a transaction is that writes.
#[derive(Clone, Copy)]
enum Phase {
    NothingWritten,
    Written,
    BeforeCommit,
    InCommit,
    Committed,
}

impl Phase {
    /// The phase in which the last call begins, after the others.
    fn of(before: &[Asked], last: &Asked) -> Self {
        let phase = before.iter().fold(Self::NothingWritten, Self::behind);
        match (phase, last.step()) {
            (_, Step::Begin) => Self::NothingWritten,
            // SQLite writes what was inserted before, and one frame in two calls.
            (Self::NothingWritten, Step::Frame) => Self::Written,
            (Self::InCommit, Step::Frame) => Self::BeforeCommit,
            (Self::NothingWritten | Self::Written, Step::Commit) => Self::BeforeCommit,
            (phase, _) => phase,
        }
    }

    /// The phase when a call is over.
    fn behind(self, asked: &Asked) -> Self {
        match (self, asked.step()) {
            (_, Step::Begin) => Self::NothingWritten,
            (Self::NothingWritten | Self::Written, Step::Commit) => Self::InCommit,
            (Self::NothingWritten, Step::Frame | Step::Statement) => Self::Written,
            (Self::InCommit, Step::Durable) => Self::Committed,
            (phase, _) => phase,
        }
    }
}

/// What a call does for a transaction.
enum Step {
    Begin,
    /// SQLite writes a part of what was changed.
    Frame,
    /// PostgreSQL is told to change something.
    Statement,
    /// SQLite writes the beginning of the last frame; PostgreSQL is told.
    Commit,
    /// The log is synced; PostgreSQL has answered.
    Durable,
    Other,
}

/// A call that a thread began.
pub struct Asked {
    /// Empty where a trace is of one thread.
    pub thread: String,
    pub call: String,
    arguments: String,
    /// What is written or sent, or the beginning of it.
    data: Vec<u8>,
}

impl Asked {
    /// The calls of a trace, in order.
    pub fn all_in(trace: &str) -> Vec<Self> {
        let began = |line: &str| {
            let (call, arguments) = line.split_once('(')?;
            let (thread, call) = call.split_once(' ').unwrap_or(("", call));
            let (call, data) = (call.trim_start(), arguments.split(", ").nth(1));
            let data = data.unwrap_or_default();
            // The end of a call that was interrupted is no other one.
            (!call.contains(' ')).then(|| Self {
                thread: thread.to_owned(),
                call: call.to_owned(),
                arguments: arguments.to_owned(),
                data: bytes(data),
            })
        };
        trace.lines().filter_map(began).collect()
    }

    fn step(&self) -> Step {
        let sends = |text: &str| {
            let mut parts = self.data.windows(text.len());
            parts.any(|part| part == text.as_bytes())
        };
        match &*self.call {
            "fcntl" if self.arguments.contains("F_WRLCK") && self.takes_writer() => Step::Begin,
            "pwrite64" if self.ends_transaction() => Step::Commit,
            "pwrite64" => Step::Frame,
            "sendto" if sends("BEGIN\0") => Step::Begin,
            "sendto" if sends("COMMIT\0") => Step::Commit,
            "sendto" if sends("INSERT INTO") || sends("UPDATE \"") => Step::Statement,
            "fsync" | "fdatasync" | "recvfrom" => Step::Durable,
            _ => Step::Other,
        }
    }

    fn takes_writer(&self) -> bool {
        self.arguments.contains("l_start=120,")
    }

    /// Whether this is the head of a frame that tells the database's size.
    fn ends_transaction(&self) -> bool {
        self.data.len() == 24 && self.data[4..8] != [0; 4]
    }

    /// Whether it connects to PostgreSQL, which is on this machine.
    fn is_of_database(&self) -> bool {
        self.arguments.contains("AF_UNIX")
    }
}

/// A call at which a thread is to be killed.
#[derive(Debug, Clone)]
pub struct Aim {
    pub role: Role,
    pub at: Nth,
}

impl Aim {
    /// Another of its calls: what a table or a server's answers have grown by moves the one that is meant.
    pub fn beside(&self, attempt: usize) -> Self {
        let mut aim = self.clone();
        let distance = attempt.div_ceil(2);
        aim.at.nth = match attempt % 2 {
            0 => aim.at.nth + distance,
            _ => aim.at.nth.saturating_sub(distance).max(1),
        };
        aim
    }
}

/// Each call of a trace, and where the thread was as it began.
pub fn aims(role: Role, trace: &str) -> Vec<(Aim, &'static str)> {
    let asked = Asked::all_in(trace);
    let aim = |place: usize| {
        let Asked { thread, call, .. } = &asked[place];
        let is_like = |asked: &&Asked| asked.thread == *thread && asked.call == *call;
        let at = Nth {
            call: call.clone(),
            nth: asked[..=place].iter().filter(is_like).count(),
        };
        (Aim { role, at }, role.point(&asked[..=place]))
    };
    (0..asked.len()).map(aim).collect()
}

/// The threads of a process that have a role.
pub fn threads(process: u32, role: Role) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let has_role = |task: &Path| {
        let name = std::fs::read_to_string(task.join("comm"));
        name.is_ok_and(|name| name.trim_end() == role.thread_name())
    };
    let tasks = tasks.map(|task| task.unwrap().path());
    let tasks = tasks.filter(|task| has_role(task));
    tasks
        .map(|task| task.file_name().unwrap().to_str().unwrap().parse().unwrap())
        .collect()
}

//! What makes calls in this process: the lanes of its programs, its keys, what is under way.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backoff::Jitter;
use super::lane::{Lane, LaneView};
use super::program_client::ProgramClient;
use crate::domain::{Card, MissedRules, Policy};
use crate::jose::{KeyDescription, KeyFolder, Keyring};
use crate::settings::{DispatcherSettings, ProgramSettings};
use crate::store::{ClaimedJob, Ending, JobState, LEASE_MS, Store, StoreError, Tx};
use crate::telemetry::{Clock, ClockWatch, Hint, Metrics};

/// What a process makes calls with. Cheap to clone.
#[derive(Clone)]
pub struct Calls(Arc<Inner>);

/// What [`Calls`] is made of.
pub struct CallsSettings {
    pub store: Store,
    pub policy: Policy,
    pub clock: Clock,
    /// How long the machine has been running.
    pub running: Clock,
    /// Whether the clock can be believed.
    pub watch: ClockWatch,
    pub jitter: Jitter,
    pub metrics: Metrics,
    pub keys: KeyFolder,
    pub dispatcher: DispatcherSettings,
    /// What counts as missed.
    pub missed: MissedRules,
    /// The programs that can be called.
    pub programs: Vec<(String, ProgramSettings, ProgramClient)>,
    /// To the dispatcher of this process.
    pub hint: Hint,
}

struct Inner {
    store: Store,
    policy: Policy,
    clock: Clock,
    running: Clock,
    watch: ClockWatch,
    jitter: Jitter,
    metrics: Metrics,
    keys: Mutex<KeyFolder>,
    settings: DispatcherSettings,
    missed: MissedRules,
    lanes: BTreeMap<String, Arc<Lane>>,
    hint: Hint,
    under_way: Mutex<HashMap<String, ClaimedJob>>,
}

impl Calls {
    /// Puts together what makes calls in this process.
    pub fn new(settings: CallsSettings) -> Self {
        let running = settings.running.clone();
        let lane = |(name, program, client): (String, ProgramSettings, ProgramClient)| {
            let lane = Lane::new(&name, client, &program.connection, running.clone());
            (name, Arc::new(lane))
        };
        Self(Arc::new(Inner {
            store: settings.store,
            policy: settings.policy,
            clock: settings.clock,
            running: settings.running,
            watch: settings.watch,
            jitter: settings.jitter,
            metrics: settings.metrics,
            keys: Mutex::new(settings.keys),
            settings: settings.dispatcher,
            missed: settings.missed,
            lanes: settings.programs.into_iter().map(lane).collect(),
            hint: settings.hint,
            under_way: Mutex::default(),
        }))
    }

    /// Hints that a call is due.
    pub fn hint(&self) {
        self.0.hint.give();
    }

    /// The lanes as they are shown.
    pub fn lane_views(&self) -> Vec<LaneView> {
        self.lanes().map(|lane| lane.view()).collect()
    }

    /// What an inventory tells of the programs' keys as they are now.
    pub fn program_keys(&self) -> Vec<KeyDescription> {
        self.lanes().flat_map(|lane| lane.client.keys()).collect()
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.0.policy
    }

    pub(super) fn now(&self) -> i64 {
        self.0.clock.now()
    }

    /// Milliseconds that nobody sets: for what is looked at from time to time.
    pub(super) fn running(&self) -> i64 {
        self.0.running.now()
    }

    /// By how much the clock was set since its watch began.
    pub(super) fn clock_drift(&self) -> i64 {
        self.0.watch.drift()
    }

    /// By how much the clock was set back since it had this drift, if it was by more than is usual.
    pub(super) fn was_set_back_from(&self, drift: i64) -> Option<i64> {
        let back = drift - self.clock_drift();
        (back > 0 && self.0.watch.is_jump(back)).then_some(back)
    }

    /// Whether the clock can be believed. Where it cannot, the other side refuses what is signed by it, and calls
    /// would be given up for an age that they do not have.
    pub(super) fn has_good_clock(&self) -> bool {
        self.0.watch.fault().is_none()
    }

    /// Until when a lease lasts that begins now.
    pub(super) fn new_lease(&self, tx: &mut Tx<'_>) -> Result<i64, StoreError> {
        Ok(tx.lease_time(self.running())? + LEASE_MS)
    }

    /// The share of a span that is waited before the next attempt.
    pub(super) fn jitter(&self) -> f64 {
        self.0.jitter.share()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(super) fn settings(&self) -> &DispatcherSettings {
        &self.0.settings
    }

    pub(super) fn missed(&self) -> &MissedRules {
        &self.0.missed
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.0.lanes.values()
    }

    /// The lane of a card's program, if that is known and can be called.
    pub(super) fn lane_of(&self, card: &Card) -> Option<&Arc<Lane>> {
        self.0.lanes.get(&self.0.policy.program_of(card)?)
    }

    /// The keys that open answers, as they are in the folder now.
    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        let mut keys = lock(&self.0.keys);
        // Refusals are recorded by the processor, which follows the same folder.
        keys.reload_if_changed(|newer, _| {
            let now = self.0.clock.now();
            self.0.store.admit_keyring(newer, false, now)
        });
        keys.keyring()
    }

    /// Claims due calls of a lane; with `only_wanted` those only that an operator wants at once.
    pub(super) fn claim(
        &self,
        lane: &Lane,
        limit: usize,
        only_wanted: bool,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let now = self.now();
        let waits = |tx: &mut Tx<'_>| tx.any_due_job(now);
        // A look costs less than SQLite's write lock.
        if !self.0.store.read(waits)? {
            return Ok(Vec::new());
        }
        let claimed = self.0.store.write(|tx| {
            let until = self.new_lease(tx)?;
            tx.claim_jobs(&lane.program, limit, only_wanted, now, until)
        })?;
        claimed.iter().for_each(|job| self.begun(job));
        Ok(claimed)
    }

    /// Notes a claimed call as under way.
    pub(super) fn begun(&self, job: &ClaimedJob) {
        lock(&self.0.under_way).insert(job.id.clone(), job.clone());
    }

    /// Notes a call as ended.
    pub(super) fn ended(&self, job: &ClaimedJob) {
        lock(&self.0.under_way).remove(&job.id);
    }

    pub(super) fn under_way(&self) -> Vec<ClaimedJob> {
        lock(&self.0.under_way).values().cloned().collect()
    }

    pub(super) fn extend_leases(&self) {
        let jobs = self.under_way();
        if jobs.is_empty() {
            return;
        }
        let extended = self.0.store.write(|tx| {
            let until = self.new_lease(tx)?;
            tx.extend_leases(&jobs, until)
        });
        if let Err(error) = extended {
            log::warn!("leases are not extended: {error}");
        }
    }

    /// Hands back what is under way: another process may make these calls at once.
    pub(super) fn release_all(&self) -> Result<(), StoreError> {
        let jobs = self.under_way();
        if jobs.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let handed_back = |job: &ClaimedJob| Ending {
            state: match job.is_of_caller() {
                // Nobody waits for it any more.
                true => JobState::Discarded,
                false => JobState::Waiting,
            },
            next_at: Some(now),
            status: None,
            reason: Some("the process stopped".to_owned()),
            may_have_arrived: true,
            flow_id: None,
        };
        self.0.store.write(|tx| {
            for job in &jobs {
                tx.finish_job(job, &handed_back(job), now)?;
            }
            Ok(())
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! D-16: another program reads one state of the SQLite file for long. Its log grows, which is told; nobody is
//! refused for it; and the log is cut when the reader ends.

use std::time::{Duration, Instant};

use crate::support::oracle::{Load, judge, slowest};
use crate::support::sql::sql;
use crate::support::{App, Backend, is_full, wait_until};

/// To what a log is cut: `journal_size_limit`.
const CUT: u64 = 16 * 1024 * 1024;

fn log_bytes(app: &App) -> u64 {
    let text = app.get("/metrics").text;
    let mut lines = text.lines();
    let told = lines.find_map(|line| line.strip_prefix("tokenkeep_sqlite_log_bytes "));
    told.unwrap().parse().unwrap()
}

/// Seen to fail without `journal_size_limit`: the log keeps its size for ever.
#[test]
fn d16_a_log_that_grows_while_another_program_reads_is_told_harms_nobody_and_is_cut_afterwards() {
    let (least, rate) = match is_full() {
        true => (Duration::from_secs(300), 100),
        false => (Duration::ZERO, 800),
    };
    let app = App::spawn(Backend::Sqlite);
    let usual = log_bytes(&app);
    assert!(usual < CUT, "{usual}");
    let reader = sql(&app.database).read_on();
    let (load, begun) = (Load::start(&app.receiver_url(), rate), Instant::now());
    wait_until("the log has grown", || log_bytes(&app) > CUT + CUT / 4);
    std::thread::sleep(least.saturating_sub(begun.elapsed()));
    let (longest, read_for) = (log_bytes(&app), begun.elapsed());
    drop(reader);
    let ended = Instant::now();
    wait_until("the log is cut", || log_bytes(&app) <= CUT);
    let cut_after = ended.elapsed();
    let (told, answers) = load.end();
    let odd = answers
        .iter()
        .find(|answered| ![204, 503].contains(&answered.status));
    assert!(odd.is_none(), "{odd:?}");
    let refused = answers.iter().filter(|it| it.status == 503).count();
    assert_eq!(refused, 0, "a reader is in nobody's way");
    println!(
        "D-16 on Sqlite: a reader for {read_for:?} with a log of {longest} bytes, cut {cut_after:?} later, slowest \
         answer {:?}, {refused} refused; {}",
        slowest(&answers, 204),
        judge(&app.database, &told)
    );
}

//! Progress of long work on stderr: a bar on a terminal, and a line now and then elsewhere.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::show::terminal;

/// Work that takes longer is reported.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two lines without a terminal; it grows with the time passed.
const PAUSE: Duration = Duration::from_secs(5);

/// Reports the progress of long work, from a thread, since the work itself may be silent for long.
pub(crate) struct Waiting {
    bar: ProgressBar,
    /// Dropped when the work is done.
    over: Option<Sender<()>>,
    speaker: Option<JoinHandle<()>>,
}

impl Waiting {
    /// Starts reporting `what` for `total` items; 0 means an unknown number. Prints nothing if `quiet`.
    pub(crate) fn new(what: &'static str, total: usize, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        let template = if total > 0 {
            "{msg}  {wide_bar:.green/dim} {pos}/{len} {eta} left"
        } else {
            "{msg}  {elapsed}"
        };
        let style = ProgressStyle::with_template(template);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸━"));
        bar.set_message(what);
        let (over, end) = mpsc::channel();
        let spoken = bar.clone();
        let speak = move || {
            let start = Instant::now();
            let mut pause = PATIENCE;
            while end.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                if spoken.is_hidden() {
                    spoken.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
                }
                if spoken.is_hidden() {
                    terminal::say(&line(what, start.elapsed(), spoken.position(), total as u64));
                    pause = PAUSE.max(start.elapsed() / 4);
                } else {
                    spoken.tick();
                    pause = Duration::from_millis(200);
                }
            }
        };
        let speaker = (!quiet).then(|| thread::spawn(speak));
        Self { bar, over: Some(over), speaker }
    }

    /// Does `work` with the bar out of the way of what it prints.
    pub(crate) fn suspend<R>(&self, work: impl FnOnce() -> R) -> R {
        self.bar.suspend(work)
    }

    /// Notes `count` more items done.
    pub(crate) fn note(&self, count: usize) {
        self.bar.inc(count as u64);
    }
}

/// The line for `done` of `total` items after `time`.
fn line(what: &str, time: Duration, done: u64, total: u64) -> String {
    let seconds = time.as_secs_f64();
    if total == 0 {
        return format!("{what}: {seconds:.0} s so far");
    }
    let left = if done == 0 {
        String::new()
    } else {
        format!(", about {:.0} s left", seconds / done as f64 * (total - done.min(total)) as f64)
    };
    format!("{what}: {done} of {total} after {seconds:.0} s{left}")
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.over.take());
        // A panic of the thread is on stderr already.
        let _ = self.speaker.take().map(JoinHandle::join);
        self.bar.finish_and_clear();
    }
}

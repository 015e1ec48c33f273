//! A bar for whoever waits, on stderr.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that takes longer shows a bar, where there is a terminal.
const PATIENCE: Duration = Duration::from_secs(2);

/// A bar that appears once the work has taken a while, and goes away with it.
pub(crate) struct Waiting {
    bar: ProgressBar,
    start: Instant,
    shown: std::sync::Once,
}

impl Waiting {
    /// Waits for `total` items, while `what` is done.
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template("{msg}  {wide_bar:.green/dim} {pos}/{len} {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸━"));
        bar.set_message(what);
        Self { bar, start: Instant::now(), shown: std::sync::Once::new() }
    }

    /// `count` more items are done.
    pub(crate) fn note(&self, count: usize) {
        self.bar.inc(count as u64);
        if self.start.elapsed() > PATIENCE {
            self.shown.call_once(|| self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

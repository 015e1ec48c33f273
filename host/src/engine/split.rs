//! Holding out: the one rule by which lines are taken from others.

/// One line in this many is held out.
const EVERY: usize = 10;

/// Numbers `lines` from 1 and takes every tenth out: (the others, those).
pub(crate) fn hold_out<T>(lines: impl IntoIterator<Item = T>) -> (Vec<T>, Vec<T>) {
    let (mut others, mut held_out) = (Vec::new(), Vec::new());
    for (number, line) in (1_usize..).zip(lines) {
        if number.is_multiple_of(EVERY) { &mut held_out } else { &mut others }.push(line);
    }
    (others, held_out)
}

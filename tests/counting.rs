//! The score of counting, against a case worked by hand and figures that another program computed.
#![allow(clippy::unwrap_used, reason = "a test may panic: that is how it fails")]

use micro_diffusion_cli::engine::counting::{Counting, score};

/// A few logarithms in f64.
const NATS: f64 = 1e-12;
/// The figures of the names have two digits behind the point.
const DIGITS: f64 = 0.005;

fn lines(text: &[&str]) -> Vec<String> {
    text.iter().map(|line| (*line).to_owned()).collect()
}

/// Counts “ab” and “aa” over a, b and the end $: p₁ = (count + 3·1/3)/(6 + 3), so 4/9 for a, 2/9 for b, 3/9 for $.
#[test]
fn two_lines_counted_by_hand() {
    let lines = lines(&["ab", "aa"]);
    let cases = [
        ("ab", 1, 4.0 / 9.0 * 2.0 / 9.0 * 3.0 / 9.0),
        // After ^ a twice: (2 + 4/9)/3. After a one each of a, b and $: (1 + 3·2/9)/6. After b one $: (1 + 3/9)/2.
        ("ab", 2, 22.0 / 27.0 * 5.0 / 18.0 * 2.0 / 3.0),
        // (0 + 2/9)/3, (0 + 4/9)/2, (1 + 3·3/9)/6.
        ("ba", 2, 2.0 / 27.0 * 2.0 / 9.0 * 1.0 / 3.0),
        // After ^^ only a: (0 + 2/27)/3. Neither ^b nor ba was ever seen, so that b and a predict alone.
        ("ba", 3, 2.0 / 81.0 * 2.0 / 9.0 * 1.0 / 3.0),
        // c was never seen: (0 + 3·1/3)/9.
        ("c", 1, 1.0 / 9.0 * 3.0 / 9.0),
        ("", 1, 3.0 / 9.0),
    ];
    let texts = cases.map(|(text, ..)| text.to_owned());
    let counting = Counting::of(lines.iter(), texts.iter(), 3);
    for (text, order, probability) in cases {
        let (found, expected) = (counting.nats(text, order), -f64::ln(probability));
        assert!((found - expected).abs() < NATS, "{text}, order {order}: {found} against {expected}");
    }
}

#[test]
fn few_lines_are_scored_by_single_letters() {
    let training = lines(&["ab", "aa"]);
    let (nats, order) = score(&training, 3, &lines(&["ab", "c"]));
    let expected = -f64::ln(24.0 / 729.0 * 3.0 / 81.0) / 2.0;
    assert!(order == 1 && (nats - expected).abs() < NATS, "{nats} against {expected}, order {order}");
}

/// Every tenth of the names is scored by the others, none longer than 12 letters.
#[test]
fn the_names_have_their_known_scores() {
    let (mut training, mut held_out) = (Vec::new(), Vec::new());
    for (number, line) in (1_usize..).zip(include_str!("../data/names.txt").lines()) {
        if line.len() <= 12 {
            if number.is_multiple_of(10) { &mut held_out } else { &mut training }.push(line.to_owned());
        }
    }
    let counting = Counting::of(training.iter(), held_out.iter(), 27);
    for (order, expected) in (1..).zip([20.39, 17.57, 15.89, 14.81, 14.58, 15.09]) {
        let sum: f64 = held_out.iter().map(|line| counting.nats(line, order)).sum();
        let found = sum / held_out.len() as f64;
        assert!((found - expected).abs() <= DIGITS, "order {order}: {found} against {expected}");
    }
    let (nats, order) = score(&training, 27, &held_out);
    assert!(order == 5 && (nats - 14.58).abs() <= DIGITS, "{nats}, order {order}");
}

/// Half a million places are counted in a moment, and no line but those of the scored texts is remembered.
#[test]
fn a_long_list_is_counted_in_seconds() {
    let syllable = |number: usize| ["ba", "ke", "ri", "so", "tu", "na", "le", "mi", "do", "fu"][number % 10];
    let line = |number: usize| (0..5).map(|place| syllable(number / 10_usize.pow(place))).collect::<String>();
    let list: Vec<String> = (0..100_000).map(|number| line(number * 37 % 100_003)).collect();
    let start = std::time::Instant::now();
    let (nats, order) = score(&list, 17, &list[..1000]);
    let seconds = start.elapsed().as_secs_f64();
    assert!(seconds < 10.0, "{seconds} s");
    // Five syllables of ten, and the smoothing takes up to a fifth more.
    let ratio = nats / (5.0 * f64::ln(10.0));
    assert!((1.0..1.2).contains(&ratio), "{nats}, order {order}");
}

//! Drawn texts that are called new.

use micro_diffusion_cli::files::novelty::{Known, Novelty};
use micro_diffusion_cli::files::readers;

#[test]
fn a_text_is_a_training_line_or_a_held_out_line_or_new() {
    let list: String = (0..40).map(|number| format!("name{}\n", char::from(b'a' + number % 26))).collect();
    for development in [false, true] {
        let text = readers::text(list.as_bytes(), development).unwrap();
        let known = Known::new(text.training.iter().map(String::as_str), text.list.lines());
        for line in &text.training {
            assert_eq!(known.novelty(line), Novelty::Training, "{line}");
        }
        for line in &text.held_out {
            assert_eq!(known.novelty(line), Novelty::HeldOut, "{line}");
        }
        assert_eq!(known.novelty("namez2"), Novelty::New);
        // The tenth line is held out under both splits, from training and from choosing settings.
        assert_eq!(known.novelty("namej"), Novelty::HeldOut);
    }
    assert_eq!(Novelty::ALL.map(Novelty::name), ["new", "held-out line", "training line"]);
}

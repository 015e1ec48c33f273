//! Forms of a pattern, found and drawn as on the command line.

use micro_diffusion::denoiser::Denoiser;
use micro_diffusion::file::ModelFile;
use micro_diffusion::pattern::nats_of_given;
use micro_diffusion::form::{Form, leaves_all_open};
use micro_diffusion::pattern::{MOST_PLACEMENTS, PatternError, cumulate, drawn_form, each_form, placements, shortest};
use micro_diffusion::rng::Stream;

/// The forms of texts, each once and in ascending order; none if any text will do.
pub struct Forms<const L: usize> {
    forms: [Form<L>; MOST_PLACEMENTS],
    /// Cumulated shares: of texts that have each form or an earlier one.
    shares: [f64; MOST_PLACEMENTS],
    count: usize,
}

impl<const L: usize> Forms<L> {
    /// Forms that allow any text.
    pub const ANY: Self =
        Self { forms: [Form::any(0); MOST_PLACEMENTS], shares: [0.0; MOST_PLACEMENTS], count: 0 };

    /// Finds the forms of `pattern` and returns their number; an empty pattern allows any text.
    ///
    /// # Errors
    /// The fault of the pattern, or `None` if it has too many placements. The forms then allow any text.
    pub(crate) fn place<const V: usize>(
        &mut self,
        pattern: &str,
        file: &ModelFile,
        denoiser: &mut dyn Denoiser<L, V>,
    ) -> Result<usize, Option<PatternError>> {
        self.count = 0;
        let alphabet = file.alphabet();
        if pattern.is_empty() || leaves_all_open(pattern) {
            return Ok(0);
        }
        let (letters, stars) = shortest(pattern, alphabet)?;
        if letters > L {
            return Err(Some(PatternError::TooLong { needed: letters }));
        }
        let longest = if stars == 0 { letters } else { L };
        let ways = (letters..=longest).map(|length| placements(length.saturating_sub(letters), stars));
        if ways.fold(0, usize::saturating_add) > MOST_PLACEMENTS {
            return Err(None);
        }
        each_form(pattern, alphabet, letters..=longest, |form| self.insert(form))?;
        let (forms, shares) = (self.forms.iter().take(self.count), &mut self.shares);
        for (form, share) in forms.zip(shares.iter_mut()) {
            // A single form is certain.
            *share = if self.count == 1 {
                0.0
            } else {
                file.lengths().negative_log_probability(form.length)
                    + nats_of_given(denoiser, alphabet.symbols(), form.length, &form.given)
            };
        }
        cumulate(shares.get_mut(..self.count).unwrap_or(&mut []));
        Ok(self.count)
    }

    /// Inserts `form` in its place, if it is new.
    fn insert(&mut self, form: Form<L>) {
        let known = self.forms.get(..self.count).unwrap_or(&[]);
        if let Err(place) = known.binary_search(&form)
            && let Some(moved) = self.forms.get_mut(place..=self.count)
        {
            moved.rotate_right(1);
            if let Some(slot) = moved.first_mut() {
                *slot = form;
            }
            self.count = self.count.saturating_add(1);
        }
    }

    /// Draws the form of a text by `stream`, the text's own stream.
    pub(crate) fn draw(&self, file: &ModelFile, stream: Stream) -> Form<L> {
        match self.shares.get(..self.count) {
            Some(shares) if !shares.is_empty() => {
                self.forms.get(drawn_form(shares, stream)).copied().unwrap_or(Form::any(1))
            }
            _ => Form::any(file.lengths().draw(stream)),
        }
    }
}

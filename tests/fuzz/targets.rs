//! The targets of fuzzing: readers of files and patterns from anyone. `cargo test` runs them on the corpora.
//! None may panic, and accepted input must keep its promises.
//!
//! Each returns whether the input got all the way through, so that a corpus which no longer reaches the depths is noticed.

use micro_diffusion::activation::Activation;
use micro_diffusion::categorical::{SymbolSet, Temperature};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::crc::crc32;
use micro_diffusion::denoiser::{Denoiser, Model};
use micro_diffusion::file::{FileError, ModelFile};
use micro_diffusion::form::Form;
use micro_diffusion::integer::IntegerModel;
use micro_diffusion::integer_mlp::IntegerMlp;
use micro_diffusion::kernels::Plain;
use micro_diffusion::mlp::Mlp;
use micro_diffusion::pattern::{PatternError, next_placement, placements, shortest};
use micro_diffusion::precision::{Int4, Int8};
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::text::Alphabet;
use micro_diffusion::transformer::Transformer;
use micro_diffusion_cli::files::readers;

const ORDERS: [Order; 2] = [Order::Random, Order::Confidence];

/// The bytes as a model file, and once more with a checksum that matches, since else hardly any would get past it.
pub fn model_file(bytes: &[u8]) -> bool {
    let mut sealed = bytes.to_vec();
    if let Some((body, checksum)) = sealed.split_last_chunk_mut::<4>() {
        *checksum = crc32(body).to_le_bytes();
    }
    [bytes, &sealed].map(|bytes| ModelFile::parse(bytes).is_ok_and(open)).contains(&true)
}

/// Opens `file` as every small network.
fn open(file: ModelFile) -> bool {
    assert!(file.alphabet().symbols() <= file.shape().symbols);
    let lengths = file.lengths();
    assert_eq!(lengths.counts().len(), file.shape().positions);
    let known = |length| lengths.negative_log_probability(length).is_finite();
    assert!((1..=lengths.counts().len().min(99)).all(known) && !known(lengths.counts().len() + 1));
    let opened = [
        floats::<Mlp<3, 4, 2>, 3, 4>(file),
        floats::<Residual<2, 5, 16>, 2, 5>(file),
        floats::<Transformer<3, 4, 4, 2, 2>, 3, 4>(file),
        floats::<Convolution<4, 5, 6, 2, 3>, 4, 5>(file),
        integers::<IntegerMlp<Int8, 3, 4, 2>, 3, 4>(file),
        integers::<IntegerMlp<Int4, 3, 4, 2>, 3, 4>(file),
        integers::<IntegerMlp<Int4, 3, 5, 2>, 3, 5>(file),
    ];
    opened.contains(&true)
}

/// Samples from `file` as an `M`, if it is one.
fn floats<M: Model<L, V>, const L: usize, const V: usize>(file: ModelFile) -> bool {
    let Ok(stored) = file.parameters::<M, L, V>() else { return false };
    assert_eq!((stored.len(), file.parameter_count()), (M::PARAMETERS, M::PARAMETERS));
    assert!(stored.iter().all(|bytes| f32::from_le_bytes(*bytes).is_finite()));
    let mut memory = vec![f32::NAN; M::MEMORY];
    let view = M::view(stored);
    let denoiser = view.and_then(|view| M::denoiser(Plain, Activation::Relu, view, &mut memory));
    sample::<_, L, V>(&mut denoiser.expect("as long as it says"), file);
    true
}

/// Samples from `file` as an `M` in integers, if it is one.
fn integers<M: IntegerModel<L, V>, const L: usize, const V: usize>(file: ModelFile) -> bool {
    let view = match file.integers::<M, L, V>() {
        Ok(view) => view,
        Err(error) => {
            assert!(matches!(error, FileError::Shape(_) | FileError::Dtype(_) | FileError::Scale));
            return false;
        }
    };
    assert_eq!(file.payload().len(), M::BYTES);
    let mut memory = M::MEMORY;
    sample::<_, L, V>(&mut M::denoiser(view, &mut memory), file);
    true
}

/// Texts of `denoiser`, the model of `file`, in every order: whatever its weights, no mask is left, and no symbol that the
/// alphabet lacks.
fn sample<D: Denoiser<L, V>, const L: usize, const V: usize>(denoiser: &mut D, file: ModelFile) {
    let set = [SymbolSet::first(file.alphabet().symbols())];
    for (index, order) in (0..).zip(ORDERS) {
        let stream = Stream::new(1, Purpose::Sample).child(index, 0);
        let settings = Settings { top_k: 3, top_p: 60_000, ..Settings::new(order, Temperature::ONE) };
        let length = file.lengths().draw(stream);
        let mut sampler = Sampler::<L, V>::new(length, &set, settings, stream).expect("a letter at least");
        sampler.run(denoiser, 2);
        let good = |symbol: &Option<u8>| symbol.is_some_and(|symbol| set[0].contains(symbol));
        assert!(sampler.symbols().len() == length && sampler.symbols().iter().all(good));
    }
}

/// A pattern, after a line with an alphabet whose first byte says how many letters the stars stand for together: in every
/// placement.
pub fn pattern(bytes: &[u8]) -> bool {
    const L: usize = 6;
    let Some((first, rest)) = bytes.split_first() else { return false };
    let text = String::from_utf8_lossy(rest);
    let Some((characters, pattern)) = text.split_once('\n') else { return false };
    let Ok(alphabet) = Alphabet::new(characters) else { return false };
    let unknown = |c| alphabet.symbol(c).is_none();
    let (fewest, stars) = match shortest(pattern, alphabet) {
        Ok(found) => found,
        Err(error) => {
            assert_eq!(Form::<L>::of(pattern, &[1, 2], alphabet), Err(error));
            match error {
                PatternError::UnknownCharacter(c) => assert!(pattern.contains(c) && unknown(c)),
                PatternError::NothingEscaped => assert!(pattern.ends_with('\\')),
                PatternError::TooLong { .. } | PatternError::Length { .. } => panic!("of no length yet"),
            }
            return false;
        }
    };
    assert!(fewest + stars <= pattern.chars().count());
    let letters = if stars == 0 { 0 } else { usize::from(*first) % 8 };
    if placements(letters, stars) > 1000 {
        return false;
    }
    let mut placement = vec![0; stars];
    if let Some(last) = placement.last_mut() {
        *last = letters;
    }
    let mut forms = vec![];
    loop {
        match Form::<L>::of(pattern, &placement, alphabet) {
            Ok(form) => forms.push(form),
            Err(PatternError::TooLong { needed }) => assert!(needed == fewest + letters && needed > L),
            Err(error) => assert_eq!((error, fewest + letters), (PatternError::Length { shortest: 1 }, 0)),
        }
        if !next_placement(&mut placement) {
            break;
        }
    }
    let met = (1..=L).contains(&(fewest + letters));
    assert_eq!(forms.len(), if met { placements(letters, stars) } else { 0 });
    let all = SymbolSet::first(alphabet.symbols());
    let settings = Settings::new(Order::Random, Temperature::ONE);
    for form in &forms {
        assert_eq!(form.length, fewest + letters);
        assert!(form.given.iter().flatten().count() <= fewest);
        assert!(form.given[form.length..].iter().all(Option::is_none), "nothing past the end");
        let sets = form.allowed(alphabet.symbols());
        let known = |set: &SymbolSet| set.iter_below(256).all(|symbol| all.contains(symbol));
        assert!(sets.iter().all(known), "symbols of the alphabet only");
        let stream = Stream::new(1, Purpose::Sample);
        let sampler = Sampler::<L, 256>::new(form.length, &sets, settings, stream);
        let given = sampler.expect("a letter at least").symbols().iter().flatten().count();
        assert!(given >= form.given.iter().flatten().count());
    }
    met
}

/// A text file, prepared for training; the first byte says which split.
pub fn text(bytes: &[u8]) -> bool {
    // The alphabet of the largest room.
    const L: usize = 64;
    let Some((first, bytes)) = bytes.split_first() else { return false };
    let Ok(text) = readers::text(bytes, first % 2 == 1) else { return false };
    let alphabet = Alphabet::new(&text.alphabet).expect("an alphabet of its characters");
    let mut seen = std::collections::HashSet::new();
    for line in text.training.iter().chain(&text.held_out) {
        assert!(seen.insert(line), "{line:?} twice");
        assert!(!line.is_empty() && line.trim() == line && !line.chars().any(char::is_control), "{line:?}");
        let encoded = alphabet.encode::<L>(line).expect("a text of the alphabet");
        assert!(line.chars().count() <= text.positions && text.positions <= L, "{line:?}");
        let shown: Vec<Option<u8>> = encoded.symbols().iter().copied().map(Some).collect();
        let shown = alphabet.decode::<{ 4 * L }>(&shown, '_');
        assert_eq!(shown.as_str(), line, "there and back");
    }
    let again =
        readers::text(text.list.as_bytes(), first % 2 == 1).expect("what is prepared can be prepared");
    assert_eq!(again.list, text.list, "prepared once is prepared");
    assert!(text.alphabet.chars().all(|c| seen.iter().any(|line| line.contains(c))), "no other character");
    true
}

/// A safetensors file as a model and as a checkpoint: the bytes, and the bytes as the header of a file of zeros. So small
/// inputs can describe large tensors.
pub fn safetensors(bytes: &[u8]) -> bool {
    const MOST: usize = 1 << 20;
    let numbers = bytes.split(|byte| !byte.is_ascii_digit()).filter_map(|digits| str::from_utf8(digits).ok());
    let largest = numbers.filter_map(|digits| digits.parse().ok()).filter(|number| *number < MOST).max();
    let mut file = (bytes.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(bytes);
    file.resize(file.len() + largest.unwrap_or(0), 0);
    [bytes, &file].map(import).contains(&true)
}

fn import(bytes: &[u8]) -> bool {
    let model = readers::safetensors(bytes);
    if let Ok(model) = &model {
        ModelFile::parse(model).expect("what is imported is a model file");
    }
    let checkpoint = readers::checkpoint(bytes);
    if let Ok(losses) = &checkpoint {
        assert!(losses.iter().all(|loss| loss.is_finite()));
    }
    model.is_ok() || checkpoint.is_ok()
}

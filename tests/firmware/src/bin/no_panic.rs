//! Links only if no panic can be reached: the panic handler calls a function that does not exist.
//!
//! All that firmware calls is called here on values the compiler cannot know. With the feature `panics` a panic can be
//! reached, and this must not link.

#![no_std]
#![no_main]

use core::hint::black_box;

use micro_diffusion::activation::Activation;
use micro_diffusion::categorical::Temperature;
use micro_diffusion::config::{ConvolutionChip, ConvolutionSmall, Perceptron, PerceptronSmall, Residual, Transformer};
use micro_diffusion::denoiser::{Denoiser, Model};
use micro_diffusion::file::ModelFile;
use micro_diffusion::precision::{Int4, Int8, Precision};
use micro_diffusion::integer::{IntegerModel, Quantisable};
use micro_diffusion::kernels::Plain;
use micro_diffusion::pattern;
use micro_diffusion::form::Form;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::sampler::{Order, Sampler, Settings};
use micro_diffusion::text::Alphabet;

unsafe extern "C" {
    fn a_panic_can_be_reached() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // SAFETY: never linked.
    unsafe { a_panic_can_be_reached() }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    black_box(sample(black_box::<&[u8]>(&[])));
    #[cfg(feature = "panics")]
    black_box(black_box(&[0_u8; 4])[black_box(3_usize)]);
    loop {}
}

fn sample(bytes: &[u8]) -> Option<()> {
    let file = ModelFile::parse(bytes).ok()?;
    // Of each its own copy: what is of one shape would be known not to be of another.
    black_box(float::<PerceptronSmall, 12, 26, { <PerceptronSmall as Model<12, 26>>::MEMORY }>(black_box(
        file,
    )));
    black_box(float::<Perceptron, 12, 26, { <Perceptron as Model<12, 26>>::MEMORY }>(black_box(file)));
    black_box(float::<Residual, 12, 26, { <Residual as Model<12, 26>>::MEMORY }>(black_box(file)));
    black_box(float::<Transformer, 16, 26, { <Transformer as Model<16, 26>>::MEMORY }>(black_box(file)));
    black_box(float::<ConvolutionSmall, 16, 26, { <ConvolutionSmall as Model<16, 26>>::MEMORY }>(black_box(
        file,
    )));
    black_box(integer::<Perceptron, Int4, 12, 26>(black_box(file)));
    black_box(integer::<Perceptron, Int8, 12, 26>(black_box(file)));
    black_box(integer::<Residual, Int4, 12, 26>(black_box(file)));
    black_box(integer::<Residual, Int8, 12, 26>(black_box(file)));
    black_box(integer::<ConvolutionChip, Int4, 16, 26>(black_box(file)));
    black_box(integer::<ConvolutionSmall, Int8, 16, 26>(black_box(file)));
    Some(())
}

fn integer<M: Quantisable<L, V>, P: Precision + 'static, const L: usize, const V: usize>(
    file: ModelFile,
) -> Option<()> {
    let view = file.integers::<M::Integers<P>, L, V>().ok()?;
    let mut memory = M::Integers::<P>::MEMORY;
    draw::<_, L, V>(&mut M::Integers::<P>::denoiser(view, &mut memory), file)
}

fn float<M: Model<L, V>, const L: usize, const V: usize, const MEMORY: usize>(file: ModelFile) -> Option<()> {
    let mut memory = [0.0; MEMORY];
    let view = M::view(file.parameters::<M, L, V>().ok()?)?;
    draw::<_, L, V>(&mut M::denoiser(Plain, Activation::Relu, view, &mut memory)?, file)
}

fn draw<D: Denoiser<L, V>, const L: usize, const V: usize>(denoiser: &mut D, file: ModelFile) -> Option<()> {
    let (alphabet, lengths) = (file.alphabet(), file.lengths());
    let order = black_box([Order::Random, Order::Confidence]);
    for order in order {
        let mut settings = Settings::new(order, Temperature::from_milli(black_box(700)));
        (settings.top_k, settings.top_p) = black_box((256, 65_536));
        let stream = Stream::new(black_box(1), Purpose::Sample).child(black_box(0), 0);
        let free = Form::<L>::any(lengths.draw(stream));
        for form in [free, form(alphabet)?] {
            let allowed = form.allowed(alphabet.symbols());
            let mut sampler = Sampler::<L, V>::new(form.length, &allowed, settings, stream).ok()?;
            sampler.step(denoiser, black_box(L));
            sampler.run(denoiser, black_box(L));
            black_box(alphabet.decode::<64>(black_box(sampler.symbols()), '_'));
            black_box((sampler.confidence(), sampler.masked()));
        }
        black_box(lengths.negative_log_probability(black_box(free.length)));
    }
    black_box(alphabet.encode::<L>(black_box("emma")).ok()?);
    Some(())
}

/// The last form of a pattern with two stars.
fn form<const L: usize>(alphabet: Alphabet) -> Option<Form<L>> {
    let pattern: &str = black_box("*m?r*");
    let (letters, stars) = pattern::shortest(pattern, alphabet).ok()?;
    black_box(pattern::placements(black_box(L).saturating_sub(letters), stars));
    let mut placement = black_box([0, 4]);
    while pattern::next_placement(&mut placement) {}
    Form::of(pattern, &placement, alphabet).ok()
}

//! The kernels compiled for SSE2, AVX2 and AVX-512 give the same bits.
//!
//! Each function below is the same training step, compiled for one instruction set. Where the machine lacks it, the
//! baseline runs instead and the test says so.

use micro_diffusion::adam::{Adam, average_rate, average_update};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Example, Model};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::residual::Residual;
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::transformer::Transformer;
use multiversion::multiversion;

/// The bits of losses and weights after a few steps of training.
#[inline(always)]
fn train<M: Model<L, V>, const L: usize, const V: usize>() -> Vec<u32> {
    let mut weights = vec![0.0; M::PARAMETERS];
    M::initialise(&mut weights, Stream::new(1, Purpose::Weights));
    let (mut m, mut v) = (vec![0.0; M::PARAMETERS], vec![0.0; M::PARAMETERS]);
    let mut average = weights.clone();
    let mut bits = Vec::new();
    for step in 0..3_u32 {
        let batch: Vec<Example<L>> = (0..11_u32)
            .map(|row| {
                let stream = Stream::new(2, Purpose::Noise).child(step, row);
                let clean = std::array::from_fn(|l| (stream.draw(l as u32, 1)[0] % V as u32) as u8);
                Example::bound(&clean, 1 + row % L as u32, 0.1, stream)
            })
            .collect();
        let mut records = vec![0.0; batch.len() * M::RECORD];
        let mut losses = vec![0.0; batch.len()];
        if let Some(view) = M::view(&weights) {
            M::forward_backward(view, &batch, V, &mut records, &mut losses);
        }
        let mut gradient = vec![0.0; M::PARAMETERS];
        let mut rest = &mut gradient[..];
        for (number, tensor) in M::TENSORS.iter().enumerate() {
            for part in 0..tensor.parts {
                let (out, tail) = rest.split_at_mut(tensor.part_len());
                M::gradient(number, part, &batch, &records, out);
                rest = tail;
            }
        }
        Adam::default().step(step, 0.01).update(&mut weights, &gradient, &mut m, &mut v, f32::sqrt);
        average_update(&mut average, &weights, average_rate(step, 0.999));
        bits.extend(losses.iter().chain(&weights).chain(&average).map(|x| x.to_bits()));
    }
    bits
}

#[inline(never)]
fn baseline<M: Model<L, V>, const L: usize, const V: usize>() -> Vec<u32> {
    train::<M, L, V>()
}

#[multiversion(targets("x86_64+avx2"))]
fn avx2<M: Model<L, V>, const L: usize, const V: usize>() -> Vec<u32> {
    train::<M, L, V>()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx512bw"))]
fn avx512<M: Model<L, V>, const L: usize, const V: usize>() -> Vec<u32> {
    train::<M, L, V>()
}

fn check<M: Model<L, V>, const L: usize, const V: usize>() {
    let expected = baseline::<M, L, V>();
    assert!(avx2::<M, L, V>() == expected, "AVX2 differs from the baseline");
    assert!(avx512::<M, L, V>() == expected, "AVX-512 differs from the baseline");
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    #[cfg(target_arch = "x86_64")]
    for (name, there) in
        [("AVX2", is_x86_feature_detected!("avx2")), ("AVX-512", is_x86_feature_detected!("avx512f"))]
    {
        if !there {
            println!("skipped {name}: this machine has none");
        }
    }
    check::<Mlp<12, 27, 256>, 12, 27>();
    check::<Mlp<12, 27, 18>, 12, 27>();
    check::<Mlp<5, 30, 77>, 5, 30>();
    check::<Residual<5, 30, 48>, 5, 30>();
    check::<Convolution<16, 27, 26, 3, 5>, 16, 27>();
    check::<Convolution<7, 9, 12, 2, 3>, 7, 9>();
    check::<Transformer<16, 27, 64, 1, 4, 16>, 16, 27>();
    check::<Transformer<7, 9, 12, 2, 2, 6>, 7, 9>();
}

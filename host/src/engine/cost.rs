//! Counting floating-point operations.

use micro_diffusion::denoiser::{Architecture, Shape};

/// Floating-point operations of one example in training: three passes of equal size (forward, input gradient, weight
/// gradient). The number of masks k is the mean of training's, which has probability proportional to 1/√k.
pub(crate) fn training_flops(shape: Shape) -> f64 {
    let roots = || (1..=shape.positions).map(|k| (k as f64).sqrt());
    3.0 * forward_flops(shape, roots().sum::<f64>() / roots().map(f64::recip).sum::<f64>())
}

/// Floating-point operations of evaluating a text once at each number of masks.
pub(crate) fn evaluation_flops(shape: Shape) -> f64 {
    let positions = shape.positions as f64;
    positions * forward_flops(shape, (positions + 1.0) / 2.0)
}

/// Floating-point operations of the dense maps in one forward pass with `masked` masks: two for each multiplication and
/// addition.
fn forward_flops(shape: Shape, masked: f64) -> f64 {
    let Shape { architecture, positions, symbols, width, blocks, heads } = shape;
    let (positions, symbols, width) = (positions as f64, symbols as f64, width as f64);
    let head = masked * symbols * width;
    let body = match architecture {
        Architecture::Mlp => 0.0,
        Architecture::Residual => width * width,
        // Queries, keys, values and output, the MLP of eight matrices, and attention's two products.
        Architecture::Transformer | Architecture::LocalTransformer => {
            blocks as f64 * positions * (12.0 * width * width + 2.0 * positions * width)
        }
        // A map for each tap.
        Architecture::Convolution => blocks as f64 * positions * heads as f64 * width * width,
    };
    2.0 * (head + body)
}

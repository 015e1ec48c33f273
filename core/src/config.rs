//! The compiled configurations: every shape this project builds, as a type.

use crate::convolution::Convolution as ConvolutionOf;
use crate::mlp::Mlp;
use crate::residual::Residual as ResidualOf;
use crate::transformer::Transformer as TransformerOf;

/// The default: 12 positions, the letters a–z, 256 hidden units; 163,128 parameters.
pub type Perceptron = Mlp<12, 26, 256>;

/// For the smallest chips: 12 positions, the letters a–z, 18 hidden units; 11,760 parameters.
pub type PerceptronSmall = Mlp<12, 26, 18>;

/// The most that so few parameters reach: 16 positions, the letters a–z; 3 residual convolutions of width 26 and 5 taps;
/// 12,428 parameters.
pub type ConvolutionSmall = ConvolutionOf<16, 26, 26, 3, 5>;

/// For a ten-cent chip: 16 positions, the letters a–z; 4 residual convolutions of width 30 and 5 taps, which with 4-bit
/// weights fit 16 KB of flash and 2 KB of memory together with the program; 20,666 parameters.
pub type ConvolutionChip = ConvolutionOf<16, 26, 30, 4, 5>;

/// The best of its size: 16 positions, the letters a–z; 4 residual convolutions of width 108 and 5 taps; 242,810
/// parameters.
pub type Convolution = ConvolutionOf<16, 26, 108, 4, 5>;

/// Two hidden layers with a skip connection: 12 positions, the letters a–z, twice 256 hidden units; 228,920
/// parameters.
pub type Residual = ResidualOf<12, 26, 256>;

/// The bidirectional transformer: 16 positions, which hold every name of the data, the letters a–z; 4 blocks of
/// width 64 with 4 heads; 202,560 parameters.
pub type Transformer = TransformerOf<16, 26, 64, 4, 4, 16>;

/// The transformer for text of one's own: 32 positions, and 128 characters; 217,664 parameters.
pub type TransformerWide = TransformerOf<32, 128, 64, 4, 4, 16>;

//! The compiled configurations: every shape this project builds, as a type.

use crate::convolution::Convolution as ConvolutionOf;
use crate::mlp::Mlp;
use crate::residual::Residual as ResidualOf;
use crate::transformer::Transformer as TransformerOf;

/// The default: 12 positions, the letters a–z and PAD, 256 hidden units; 166,468 parameters.
pub type Perceptron = Mlp<12, 27, 256>;

/// For the smallest chips: 12 positions, the letters a–z and PAD, 18 hidden units; 12,006 parameters.
pub type PerceptronSmall = Mlp<12, 27, 18>;

/// The most that so few parameters reach: 16 positions, the letters a–z and PAD; 3 residual convolutions of width 26 and 5 taps;
/// 12,091 parameters.
pub type ConvolutionSmall = ConvolutionOf<16, 27, 26, 3, 5>;

/// For a ten-cent chip: 16 positions, the letters a–z and PAD; 4 residual convolutions of width 30 and 5 taps, which with 4-bit
/// weights fit 16 KB of flash and 2 KB of memory together with the program; 20,277 parameters.
pub type ConvolutionChip = ConvolutionOf<16, 27, 30, 4, 5>;

/// The best of its size: 16 positions, the letters a–z and PAD; 4 residual convolutions of width 108 and 5 taps; 241,407
/// parameters.
pub type Convolution = ConvolutionOf<16, 27, 108, 4, 5>;

/// Two hidden layers with a skip connection: 12 positions, the letters a–z and PAD, twice 256 hidden units; 232,260
/// parameters.
pub type Residual = ResidualOf<12, 27, 256>;

/// The bidirectional transformer: 16 positions, which hold every name of the data, the letters a–z and PAD; 4 blocks of
/// width 64 with 4 heads; 201,728 parameters.
pub type Transformer = TransformerOf<16, 27, 64, 4, 4, 16>;

/// The transformer for text of one's own: 32 positions, and 127 characters besides PAD; 215,680 parameters.
pub type TransformerWide = TransformerOf<32, 128, 64, 4, 4, 16>;

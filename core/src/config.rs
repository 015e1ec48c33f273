//! Networks: types with room for `L` positions and `V` symbols.
//!
//! [`Perceptron`], [`PerceptronSmall`] and [`Residual`] have weights for each position, and so one room, 12 × 26.
//! [`ConvolutionChip`] is made for one chip, in room 16 × 26. Other networks take any room, by default the room of names, 16
//! × 26. `ConvolutionMedium<16, 64>` is for text of at most 16 characters of at most 64 kinds. The command line offers these
//! rooms, positions × symbols:
//!
//! | network | rooms |
//! |---|---|
//! | [`ConvolutionSmall`], [`ConvolutionMedium`], [`Convolution`] | 16 × 26, 16 × 64, 24 × 64, 32 × 128, 8 × 255, 64 × 255 |
//! | [`Transformer`], [`TransformerLocal`] | 16 × 26, 64 × 255 |
//! | [`TransformerLarge`], [`TransformerLocalLarge`] | 16 × 26 |
//!
//! Parameters are counted in the room of names.

use crate::convolution::Convolution as ConvolutionOf;
use crate::mlp::Mlp;
use crate::residual::Residual as ResidualOf;
use crate::transformer::Transformer as TransformerOf;

/// The default for names: a perceptron of 256 hidden units for texts of 12 positions and 26 symbols; 163,128
/// parameters.
pub type Perceptron = Mlp<12, 26, 256>;

/// A perceptron for the smallest chips: 18 hidden units, 12 positions, 26 symbols; 11,760 parameters.
pub type PerceptronSmall = Mlp<12, 26, 18>;

/// A perceptron of two hidden layers of 256 units with a skip connection, 12 positions and 26 symbols; 228,920
/// parameters.
pub type Residual = ResidualOf<12, 26, 256>;

/// The smallest convolution of this list: 3 layers of width 26, each reading 5 neighbouring positions. 12,428
/// parameters for 16 positions and 26 symbols.
pub type ConvolutionSmall<const L: usize = 16, const V: usize = 26> = ConvolutionOf<L, V, 26, 3, 5>;

/// A network for a ten-cent chip: a residual convolution of 4 layers of width 30, each reading 5 neighbouring
/// positions, for 16 positions and 26 symbols; 20,666 parameters.
///
/// With 4-bit weights, network and program fit 16 KB of flash and 2 KB of memory.
pub type ConvolutionChip = ConvolutionOf<16, 26, 30, 4, 5>;

/// The default for texts other than names: a residual convolution of 4 layers of width 64, each reading 5 neighbouring
/// positions. 87,578 parameters for 16 positions and 26 symbols.
pub type ConvolutionMedium<const L: usize = 16, const V: usize = 26> = ConvolutionOf<L, V, 64, 4, 5>;

/// The largest convolution of this list: 4 layers of width 108, each reading 5 neighbouring positions. 242,810
/// parameters for 16 positions and 26 symbols.
pub type Convolution<const L: usize = 16, const V: usize = 26> = ConvolutionOf<L, V, 108, 4, 5>;

/// A bidirectional transformer: 4 blocks of width 64 with 4 heads. 202,560 parameters for 16 positions and 26 symbols.
pub type Transformer<const L: usize = 16, const V: usize = 26> = TransformerOf<L, V, 64, 4, 4>;

/// A transformer whose hidden units read a letter and its two neighbours: 4 blocks of width 64 with 4 heads.
///
/// A block has 128 such units, where [`Transformer`] has 256 that read one letter. 202,560 parameters for 16 positions
/// and 26 symbols.
pub type TransformerLocal<const L: usize = 16, const V: usize = 26> = TransformerOf<L, V, 64, 4, 4, 3>;

/// A transformer to teach smaller networks: 4 blocks of width 96 with 6 heads, 16 positions, 26 symbols; 451,296
/// parameters.
pub type TransformerLarge = TransformerOf<16, 26, 96, 4, 6>;

/// A transformer to teach smaller networks, whose hidden units read a letter and its two neighbours: 4 blocks of width 96
/// with 6 heads, 16 positions, 26 symbols; 451,296 parameters.
pub type TransformerLocalLarge = TransformerOf<16, 26, 96, 4, 6, 3>;

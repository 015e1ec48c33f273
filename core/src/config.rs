//! The compiled configurations: every shape this project builds, as a type.

use crate::mlp::Mlp;

/// The default: 12 positions, the letters a–z and PAD, 256 hidden units; 166,468 parameters.
pub type Micro = Mlp<12, 27, 256>;

/// For the smallest chips: 12 positions, the letters a–z and PAD, 18 hidden units; 12,006 parameters.
pub type Tiny = Mlp<12, 27, 18>;

// Draws texts out of masks, by a network in integers called @NAME@ here.
//
// @TITLE@.
//
// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Written by micro-diffusion @VERSION@ from a trained model; export it again instead of changing it. C99, and C++11 as well.
// No heap, no float, no other file. It calls only memcpy, memset and the compiler's own arithmetic. The model is constant data in
// flash. Memory is one model_state of MODEL_RAM bytes and some 200 bytes of stack.
// Every name begins with model_ or MODEL_, so that several models can be in one program.
//
//     char text[MODEL_TEXT];
//     model_sample(1, 0, text, sizeof text);   // seed 1, text number 0
//
// writes the first line of `micro-diffusion sample --model FILE --seed 1`, number 1 the second, and so on, on every chip.
// The seed is the only randomness: take it from a clock, a noisy input, or a counter that outlives the power.
//
// model_sample_with takes settings: order, temperature, length, given letters. To show each state of a text:
//
//     static model_state state;                          // MODEL_RAM bytes
//     if (model_start(&state, &settings, seed, number))  // false if no text can meet the settings
//         do {
//             model_show(&state, '_', text, sizeof text);
//             puts(text);                                // for example _____, _o___, _or__, nor__, nor_a, noria
//         } while (model_step(&state));                  // reveals one letter; false when none was masked
//
// THE METHOD: masked diffusion. Training hid letters of texts at random and taught the network to guess them from the others.
// To write a text, start with all letters hidden and reveal them one after the other.
//
// 1. Length. n is drawn first, with p(n) = (L c_n + 1) / (L C + L), c_n of the C training texts having n letters, of at most
//    L = MODEL_POSITIONS. Every letter is then a mask, except given ones.
// 2. Order. Random: of the masked positions, the one whose random word is the least. Confidence: the one whose likeliest letter
//    is the most probable.
// 3. Evaluation. From the letters shown so far the network computes, for a masked position, a score s_v of each letter v: the
//    logarithm of its probability and any constant, in units of 2^-16 nat.
// 4. Draw. At temperature T the letter is drawn with p_v = e^(s_v / T) / sum_u e^(s_u / T). Below 1 the likely become likelier,
//    and 0 takes the likeliest. Then again from 2, until nothing is masked.
//
// The network and its formulas are below, between the tables and the draw. All scales are powers of two, so that a change of
// scale is a shift. A table holds its weights as codes without sign, weight = code - MODEL_ZERO. Sums of products are taken over
// the codes; MODEL_ZERO times the sum of the factors comes off at the end. Products with a value of 0 are left out, and only the
// letters of the alphabet are computed.
//
// Randomness is addressed, not consumed: the words for the letter and the order at position l, after e letters were revealed, are
// block (e, l) of the text's own stream. So the texts do not depend on what is computed or skipped.
//
// The original in Rust, with derivations and with bounds for every sum, is https://github.com/micro-diffusion/micro-diffusion-rs:
// core/src/sampler.rs, categorical.rs, length.rs, rng.rs, precision.rs, integer_layers.rs, integer_mlp.rs, integer_residual.rs and
// integer_convolution.rs.

@GUARD@
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Attributes and readers of constant data. An AVR has flash in an address space of its own.
#ifdef __AVR__
#include <avr/pgmspace.h>
#define MODEL_FLASH PROGMEM
#define MODEL_BYTE(place) pgm_read_byte(place)
#define MODEL_INT16(place) ((int16_t)pgm_read_word(place))
#define MODEL_UINT32(place) pgm_read_dword(place)
#else
#define MODEL_FLASH
#define MODEL_BYTE(place) (*(place))
#define MODEL_INT16(place) (*(place))
#define MODEL_UINT32(place) (*(place))
#endif

// Shifting a negative number right must round down, as all known compilers do. Compilation stops here if one does not.
typedef char model_shifts_downward[(-1 >> 1) == -1 ? 1 : -1];

// Keeps a function apart from its callers, so that its loop has all registers to itself.
#ifdef __GNUC__
#define MODEL_APART __attribute__((noinline))
#else
#define MODEL_APART
#endif

// What is multiplied with a code, and what the product needs: for an AVR a byte, and the two that its multiplier gives.
#ifdef __AVR__
typedef uint8_t model_factor;
typedef uint16_t model_product;
#else
typedef uint32_t model_factor;
typedef uint32_t model_product;
#endif

// A row of codes is multiplied with its factor and added to sums. A core without a multiplier goes through the bits of the factors
// instead, from the highest: sums = 2 sums + the rows whose factor has the bit. MODEL_PART is then a bit, else the whole factor.
#if defined(__riscv) && !defined(__riscv_mul)
#define MODEL_PLACES MODEL_FACTOR_BITS
#define MODEL_PART(factor, place) ((factor) >> (place) & 1)
#define MODEL_TIMES(code, part) ((void)(part), (code))
#else
#define MODEL_PLACES 1
#define MODEL_PART(factor, place) (factor)
#define MODEL_TIMES(code, part) ((code) * (part))
#endif

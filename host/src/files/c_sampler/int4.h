
// ------------------------------------------------------------------------------------------------- Weights in four bits

// A row of `count` codes takes half a byte for each, the first of two in the low half. Sums are counted in fours: codes past a
// row's end go to sums that nobody reads, and behind the last row there are bytes enough.
#define MODEL_ROW(count) (((count) + 1) / 2)
#define MODEL_SUMS(count) (((count) + 3) / 4 * 4)

// sums_i += weight_i for the `count` weights of a row, an even number.
MODEL_APART static void model_add_row(const uint8_t *row, int16_t *sums, unsigned count)
{
    const int16_t *end = sums + count;
    do {
        const uint8_t codes = MODEL_BYTE(row);
        sums[0] = (int16_t)(sums[0] + (codes & 15) - MODEL_ZERO);
        sums[1] = (int16_t)(sums[1] + (codes >> 4) - MODEL_ZERO);
        row++;
        sums += 2;
    } while (sums != end);
}

#ifdef __AVR__
// An AVR multiplies bytes: a sum of products is a lane of 16 bits, of which it never needs more, in the first half of `sums`.
typedef uint16_t __attribute__((may_alias)) model_lane;

// lane_i += part * code_i for the `count` codes of a row.
static inline void model_add_product(const uint8_t *row, uint32_t *sums, unsigned count, model_factor part)
{
    model_lane *lanes = (model_lane *)sums, *end = lanes + MODEL_ROW(count) * 2;
    do {
        const uint8_t codes = MODEL_BYTE(row);
        lanes[0] += (model_product)((model_product)(codes & 15) * part);
        lanes[1] += (model_product)((model_product)(codes >> 4) * part);
        row++;
        lanes += 2;
    } while (lanes != end);
}

// Widens the lanes, from the last to the first: what is written lies behind what is still to be read.
static inline void model_arrange(uint32_t *sums, unsigned count)
{
    const model_lane *lanes = (const model_lane *)sums;
    while (count-- > 0)
        sums[count] = lanes[count];
}
#else
// Four codes are two bytes b0, b1 and multiplied together, as lanes of the word x = b0 + 2^16 b1:
// all += part * x and odd += part * ((x >> 4) & 0x000F000F), modulo 2^32. No lane of `odd`, nor of all - 16 odd, the
// products of the low halves, ever reaches 2^16.
static inline void model_add_word(const uint8_t *row, uint32_t *sums, model_factor part)
{
    const uint32_t x = MODEL_BYTE(row) | (uint32_t)MODEL_BYTE(row + 1) << 16;
    sums[0] += MODEL_TIMES(x, part);
    sums[1] += MODEL_TIMES(x >> 4 & 0x000F000Fu, part);
}

// Adds part times the `count` codes of a row, two sums for four codes.
static inline void model_add_product(const uint8_t *row, uint32_t *sums, unsigned count, model_factor part)
{
    const uint32_t *end = sums + (count + 3) / 4 / 2 * 4;
    while (sums != end) {
        model_add_word(row, sums, part);
        model_add_word(row + 2, sums + 2, part);
        row += 4;
        sums += 4;
    }
    if ((count + 3) / 4 % 2 == 1)
        model_add_word(row, sums, part);
}

// Takes the lanes apart, from the last to the first: what is written lies behind what is still to be read.
static inline void model_arrange(uint32_t *sums, unsigned count)
{
    unsigned words = (count + 3) / 4;
    while (words-- > 0) {
        const uint32_t all = sums[2 * words], odd = sums[2 * words + 1], even = all - (odd << 4);
        uint32_t *four = sums + 4 * words;
        four[0] = even & 0xFFFF;
        four[1] = odd & 0xFFFF;
        four[2] = even >> 16;
        four[3] = odd >> 16;
    }
}
#endif

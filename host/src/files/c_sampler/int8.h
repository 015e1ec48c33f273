
// ------------------------------------------------------------------------------------------------ Weights in eight bits

// A row of `count` codes takes a byte for each. Sums are counted in fours: codes past a row's end go to sums that nobody reads, and
// behind the last row there are bytes enough.
#define MODEL_ROW(count) (count)
#define MODEL_SUMS(count) (((count) + 3) / 4 * 4)

// sums_i += weight_i for the `count` weights of a row, an even number.
MODEL_APART static void model_add_row(const uint8_t *row, int16_t *sums, unsigned count)
{
    const int16_t *end = sums + count;
    do {
        sums[0] = (int16_t)(sums[0] + MODEL_BYTE(row) - MODEL_ZERO);
        sums[1] = (int16_t)(sums[1] + MODEL_BYTE(row + 1) - MODEL_ZERO);
        row += 2;
        sums += 2;
    } while (sums != end);
}

// sums_i += part * code_i for the `count` codes of a row.
static inline void model_add_product(const uint8_t *row, uint32_t *sums, unsigned count, model_factor part)
{
    const uint32_t *end = sums + MODEL_SUMS(count);
    do {
        sums[0] += (model_product)MODEL_TIMES((model_product)MODEL_BYTE(row), part);
        sums[1] += (model_product)MODEL_TIMES((model_product)MODEL_BYTE(row + 1), part);
        sums[2] += (model_product)MODEL_TIMES((model_product)MODEL_BYTE(row + 2), part);
        sums[3] += (model_product)MODEL_TIMES((model_product)MODEL_BYTE(row + 3), part);
        row += 4;
        sums += 4;
    } while (sums != end);
}

// Brings the sums of products into the order of the columns, in which they are already.
static inline void model_arrange(uint32_t *sums, unsigned count)
{
    (void)sums;
    (void)count;
}

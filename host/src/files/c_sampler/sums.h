
// sums_i = 0 for the `count` columns of a table.
static inline void model_clear(uint32_t *sums, unsigned count)
{
    for (unsigned i = 0; i < MODEL_SUMS(count); i++)
        sums[i] = 0;
}

// Begins with the next lower bit of the factors, where they are taken bit by bit.
static inline void model_next_place(uint32_t *sums, unsigned count)
{
    for (unsigned i = 0; MODEL_PLACES > 1 && i < MODEL_SUMS(count); i++)
        sums[i] += sums[i];
}

// Turns sums of products with codes into scores: score_v = (sum_v - MODEL_ZERO * values) * 2^MODEL_SCORE_SHIFT +
// c_v * 2^MODEL_BIAS_SHIFT, `values` being the sum of the factors and c a row of the output bias.
static inline void model_finish(uint32_t *sums, uint32_t values, const int16_t *bias)
{
    const uint32_t zero = values * MODEL_ZERO;
    for (unsigned v = 0; v < MODEL_LETTERS; v++) {
        const uint32_t c = (uint32_t)(int32_t)MODEL_INT16(bias + v);
        sums[v] = ((sums[v] - zero) << MODEL_SCORE_SHIFT) + (c << MODEL_BIAS_SHIFT);
    }
}

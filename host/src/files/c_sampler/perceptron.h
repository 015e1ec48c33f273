
// -------------------------------------------------------------------------------------------------------- The perceptron

// A text, and the hidden layer that belongs to it.
typedef struct {
    uint8_t symbols[MODEL_POSITIONS]; // MODEL_MASK where it is hidden
    uint8_t length;                   // n
    uint8_t active[MODEL_UNITS];      // the units of value above 0
    uint16_t active_count;            // how many these are
    int16_t sums[MODEL_UNITS];        // sum_h
    uint32_t work[MODEL_SUMS(MODEL_LETTERS)];
} model_network;

// A text of `length` masks: sum_h = b_nh, the bias of the length n.
static void model_begin(model_network *network, unsigned length)
{
    const int16_t *bias = model_length + (size_t)(length - 1) * MODEL_UNITS;
    network->length = (uint8_t)length;
    for (unsigned l = 0; l < MODEL_POSITIONS; l++)
        network->symbols[l] = MODEL_MASK;
    for (unsigned h = 0; h < MODEL_UNITS; h++)
        network->sums[h] = MODEL_INT16(bias + h);
}

// Puts a symbol in the place of a mask: sum_h += E_lxh. The sums are never computed anew.
static void model_put(model_network *network, unsigned position, uint8_t symbol)
{
    const size_t row = (size_t)position * MODEL_LETTERS + symbol;
    network->symbols[position] = symbol;
    model_add_row(model_input + row * MODEL_ROW(MODEL_UNITS), network->sums, MODEL_UNITS);
}

// Lists the units of value above 0, those whose sum is at least 2^MODEL_SHIFT. The scores of any position follow from them.
MODEL_APART static void model_evaluate(model_network *network, unsigned first, unsigned last)
{
    unsigned count = 0;
    for (unsigned h = 0; h < MODEL_UNITS; h++)
        if (network->sums[h] >= (int32_t)1 << MODEL_SHIFT)
            network->active[count++] = (uint8_t)h;
    network->active_count = (uint16_t)count;
    (void)first;
    (void)last;
}

// score_v = 2^MODEL_SCORE_SHIFT * sum_h value_h * U_lhv + 2^MODEL_BIAS_SHIFT * c_lv for position l, over the active units, with
// value_h = min(floor(sum_h / 2^MODEL_SHIFT), MODEL_LARGEST).
MODEL_APART static void model_scores(model_network *network, unsigned position)
{
    const uint8_t *table = model_output + (size_t)position * MODEL_UNITS * MODEL_ROW(MODEL_LETTERS);
    uint32_t *sums = network->work, values = 0;
    model_clear(sums, MODEL_LETTERS);
    for (unsigned place = MODEL_PLACES; place-- > 0;) {
        model_next_place(sums, MODEL_LETTERS);
        for (unsigned i = 0; i < network->active_count; i++) {
            const unsigned h = network->active[i];
            const uint32_t steps = (uint32_t)network->sums[h] >> MODEL_SHIFT;
            const model_factor part = (model_factor)MODEL_PART(steps < MODEL_LARGEST ? steps : MODEL_LARGEST, place);
            if (MODEL_PLACES == 1 || part > 0)
                model_add_product(table + (size_t)h * MODEL_ROW(MODEL_LETTERS), sums, MODEL_LETTERS, part);
            values += (uint32_t)part << place;
        }
    }
    model_arrange(sums, MODEL_LETTERS);
    model_finish(sums, values, model_output_bias + position * MODEL_LETTERS);
}

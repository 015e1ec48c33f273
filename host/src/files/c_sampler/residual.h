
// ----------------------------------------------------------------------------------------------- The residual perceptron

// A text, and the hidden layers that belong to it.
typedef struct {
    uint8_t symbols[MODEL_POSITIONS]; // MODEL_MASK where it is hidden
    uint8_t length;                   // n
    int16_t sums[MODEL_UNITS];        // sum_h
    uint32_t hidden[MODEL_UNITS];     // the sums of the second layer, then value_h
    uint32_t work[MODEL_SUMS(MODEL_LETTERS)];
} model_network;

// min(max(floor(sum / 2^shift), 0), MODEL_LARGEST), the value of a hidden sum.
static inline uint32_t model_value(int32_t sum, unsigned shift)
{
    const uint32_t value = sum > 0 ? (uint32_t)sum >> shift : 0;
    return value < MODEL_LARGEST ? value : MODEL_LARGEST;
}

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

// value_h = f_h + g_h, f_h the value of sum_h in steps of 2^MODEL_SHIFT, g_i that of d_i + sum_h f_h * W_hi in steps of
// 2^MODEL_RESIDUAL_SHIFT. The scores of any position follow from them.
MODEL_APART static void model_evaluate(model_network *network, unsigned first, unsigned last)
{
    uint32_t *hidden = network->hidden, values = 0;
    model_clear(hidden, MODEL_UNITS);
    for (unsigned place = MODEL_PLACES; place-- > 0;) {
        const uint8_t *row = model_residual;
        model_next_place(hidden, MODEL_UNITS);
        for (unsigned h = 0; h < MODEL_UNITS; h++, row += MODEL_ROW(MODEL_UNITS)) {
            const model_factor part = MODEL_PART(model_value(network->sums[h], MODEL_SHIFT), place);
            if (part > 0) {
                model_add_product(row, hidden, MODEL_UNITS, part);
                values += part << place;
            }
        }
    }
    model_arrange(hidden, MODEL_UNITS);
    const uint32_t zero = values * MODEL_ZERO;
    for (unsigned h = 0; h < MODEL_UNITS; h++) {
        const int32_t second = (int32_t)(hidden[h] - zero) + MODEL_INT16(model_residual_bias + h);
        hidden[h] = model_value(second, MODEL_RESIDUAL_SHIFT) + model_value(network->sums[h], MODEL_SHIFT);
    }
    (void)first;
    (void)last;
}

// score_v = 2^MODEL_SCORE_SHIFT * sum_h value_h * U_lhv + 2^MODEL_BIAS_SHIFT * c_lv for position l.
MODEL_APART static void model_scores(model_network *network, unsigned position)
{
    uint32_t *sums = network->work, values = 0;
    model_clear(sums, MODEL_LETTERS);
    for (unsigned place = MODEL_PLACES; place-- > 0;) {
        const uint8_t *row = model_output + (size_t)position * MODEL_UNITS * MODEL_ROW(MODEL_LETTERS);
        model_next_place(sums, MODEL_LETTERS);
        for (unsigned h = 0; h < MODEL_UNITS; h++, row += MODEL_ROW(MODEL_LETTERS)) {
            const model_factor part = MODEL_PART(network->hidden[h], place);
            if (part > 0) {
                model_add_product(row, sums, MODEL_LETTERS, part);
                values += part << place;
            }
        }
    }
    model_arrange(sums, MODEL_LETTERS);
    model_finish(sums, values, model_output_bias + position * MODEL_LETTERS);
}

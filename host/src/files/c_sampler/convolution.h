
// ------------------------------------------------------------------------------------------------------- The convolution

// What a layer reads to either side of a position.
#define MODEL_REACH (MODEL_TAPS / 2)

// A text, and what is computed of it.
typedef struct {
    uint8_t symbols[MODEL_POSITIONS];              // MODEL_MASK where it is hidden
    uint8_t length;                                // n
    uint8_t window[MODEL_TAPS][MODEL_UNITS];       // the activations of the positions around one
    int16_t stream[MODEL_POSITIONS][MODEL_UNITS];  // x
    uint32_t work[MODEL_SUMS(MODEL_WIDEST)];
} model_network;

// a = min(max(floor(x / 2^MODEL_ACTIVATION_SHIFT + 1/2), 0), MODEL_LARGEST), the activation of a feature.
static inline uint8_t model_activation(int16_t x)
{
    const unsigned step = 1u << MODEL_ACTIVATION_SHIFT, half = step >> 1;
    if (x < (int16_t)(step - half))
        return 0;
    const unsigned value = ((unsigned)x + half) >> MODEL_ACTIVATION_SHIFT;
    return (uint8_t)(value < MODEL_LARGEST ? value : MODEL_LARGEST);
}

// A text of `length` masks.
static void model_begin(model_network *network, unsigned length)
{
    network->length = (uint8_t)length;
    for (unsigned l = 0; l < MODEL_POSITIONS; l++)
        network->symbols[l] = MODEL_MASK;
}

// Puts a symbol in the place of a mask.
static void model_put(model_network *network, unsigned position, uint8_t symbol)
{
    network->symbols[position] = symbol;
}

// x_d[l] = (E[x_l]_d + P[l]_d + Q[n - 1 - l]_d) * 2^MODEL_EMBEDDING_SHIFT; a mask is without E.
static void model_embed(model_network *network, unsigned position)
{
    int16_t *x = network->stream[position];
    const uint8_t symbol = network->symbols[position];
    const size_t place = MODEL_LETTERS + position;
    const size_t from_end = (size_t)MODEL_LETTERS + MODEL_POSITIONS + network->length - 1 - position;
    for (unsigned d = 0; d < MODEL_UNITS; d++)
        x[d] = 0;
    if (symbol != MODEL_MASK)
        model_add_row(model_embedding + (size_t)symbol * MODEL_ROW(MODEL_UNITS), x, MODEL_UNITS);
    model_add_row(model_embedding + place * MODEL_ROW(MODEL_UNITS), x, MODEL_UNITS);
    model_add_row(model_embedding + from_end * MODEL_ROW(MODEL_UNITS), x, MODEL_UNITS);
    for (unsigned d = 0; d < MODEL_UNITS; d++)
        x[d] = (int16_t)(x[d] * (1 << MODEL_EMBEDDING_SHIFT));
}

// x_d += b_d + floor(2^LEFT * sum_j sum_i W_j[i]_d * a_i[l + j - r] / 2^RIGHT + 1/2), within 16 bits, for position l of a layer;
// j is a tap, 0 ... MODEL_TAPS - 1, and r = MODEL_REACH.
//
// The window holds the activations of the positions around l; the one farthest to the left is in `slot`.
MODEL_APART static void model_add_layer(model_network *network, unsigned layer, unsigned position, unsigned slot)
{
    const int16_t *bias = model_bias + layer * MODEL_UNITS;
    uint32_t *sums = network->work, values = 0;
    model_clear(sums, MODEL_UNITS);
    for (unsigned place = MODEL_PLACES; place-- > 0;) {
        const uint8_t *row = model_weight + (size_t)layer * MODEL_TAPS * MODEL_UNITS * MODEL_ROW(MODEL_UNITS);
        model_next_place(sums, MODEL_UNITS);
        for (unsigned tap = 0; tap < MODEL_TAPS; tap++) {
            const uint8_t *window = network->window[slot], *end = window + MODEL_UNITS;
            for (; window != end; window++, row += MODEL_ROW(MODEL_UNITS)) {
                const model_factor part = MODEL_PART(*window, place);
                if (part > 0) {
                    model_add_product(row, sums, MODEL_UNITS, part);
                    values += (uint32_t)part << place;
                }
            }
            slot = slot + 1 == MODEL_TAPS ? 0 : slot + 1;
        }
    }
    model_arrange(sums, MODEL_UNITS);
    const uint32_t zero = values * MODEL_ZERO;
    int16_t *x = network->stream[position];
    for (unsigned d = 0; d < MODEL_UNITS; d++) {
        const int32_t half = (int32_t)1 << MODEL_RIGHT >> 1;
        const int32_t sum = ((int32_t)((sums[d] - zero) << MODEL_LEFT) + half) >> MODEL_RIGHT;
        const int32_t next = x[d] + (MODEL_INT16(bias + d) + sum);
        x[d] = next < INT16_MIN ? INT16_MIN : next > INT16_MAX ? INT16_MAX : (int16_t)next;
    }
}

// Whether a position at most `reach` from `position` is masked.
static bool model_masked_near(const model_network *network, unsigned position, unsigned reach)
{
    const unsigned end = position + reach < network->length ? position + reach + 1 : network->length;
    for (unsigned l = position > reach ? position - reach : 0; l < end; l++)
        if (network->symbols[l] == MODEL_MASK)
            return true;
    return false;
}

// Computes x where the scores at the positions `first` ... `last` depend on it, those of them that are masked: of a layer that
// m others follow, at most m times MODEL_REACH from one, and never past the text's end.
//
// A layer writes x in place. What it still needs of x before it are the activations of MODEL_TAPS positions, in a window that
// runs ahead of the position by MODEL_REACH. Outside the text they are 0.
static void model_evaluate(model_network *network, unsigned first, unsigned last)
{
    unsigned reach = MODEL_LAYERS * MODEL_REACH;
    const unsigned length = network->length, farthest = first > reach ? first - reach : 0;
    for (unsigned l = farthest; l < length && l <= last + reach; l++)
        model_embed(network, l);
    for (unsigned layer = 0; layer < MODEL_LAYERS; layer++) {
        reach -= MODEL_REACH;
        const unsigned from = first > reach ? first - reach : 0;
        const unsigned end = last + reach < length ? last + reach + 1 : length;
        unsigned slot = 0;
        // `ahead` is MODEL_REACH more than the position that enters the window, and 2 MODEL_REACH more than the one computed.
        for (unsigned ahead = from; ahead < end + 2 * MODEL_REACH; ahead++) {
            const bool inside = ahead >= MODEL_REACH && ahead - MODEL_REACH < length;
            const int16_t *x = inside ? network->stream[ahead - MODEL_REACH] : NULL;
            for (unsigned d = 0; d < MODEL_UNITS; d++)
                network->window[slot][d] = inside ? model_activation(x[d]) : 0;
            slot = slot + 1 == MODEL_TAPS ? 0 : slot + 1;
            const unsigned position = ahead - 2 * MODEL_REACH;
            if (ahead >= from + 2 * MODEL_REACH && (first == last || model_masked_near(network, position, reach)))
                model_add_layer(network, layer, position, slot);
        }
    }
}

// score_v = 2^MODEL_SCORE_SHIFT * sum_d a_d * U_dv + 2^MODEL_BIAS_SHIFT * c_v for a masked position.
MODEL_APART static void model_scores(model_network *network, unsigned position)
{
    const int16_t *x = network->stream[position];
    uint32_t *sums = network->work, values = 0;
    model_clear(sums, MODEL_LETTERS);
    for (unsigned place = MODEL_PLACES; place-- > 0;) {
        const uint8_t *row = model_output;
        model_next_place(sums, MODEL_LETTERS);
        for (unsigned d = 0; d < MODEL_UNITS; d++, row += MODEL_ROW(MODEL_LETTERS)) {
            const model_factor part = MODEL_PART(model_activation(x[d]), place);
            if (part > 0) {
                model_add_product(row, sums, MODEL_LETTERS, part);
                values += (uint32_t)part << place;
            }
        }
    }
    model_arrange(sums, MODEL_LETTERS);
    model_finish(sums, values, model_output_bias);
}

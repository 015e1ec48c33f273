
// -------------------------------------------------------------------------------------------------------------- The draw

// The weight of a letter whose score lies `distance` below the largest: 2^23 * 2^-x with x = distance * sharpness / 2^16 in units
// of 2^-16, the whole part of x by a shift and its fraction from a table of 64 steps, interpolated. From x = 24 on it is 0.
//
// x in products of 16 bits: (2^16 h1 + l1)(2^16 h2 + l2) / 2^16 = 2^16 h1 h2 + h1 l2 + l1 h2 + l1 l2 / 2^16.
MODEL_APART static uint32_t model_weight_of(uint32_t distance, uint32_t sharpness)
{
    const uint32_t h1 = distance >> 16, l1 = distance & 0xFFFF, h2 = sharpness >> 16, l2 = sharpness & 0xFFFF;
    if (h1 * h2 >= 24)
        return 0;
    const uint32_t x = (h1 * h2 << 16) + h1 * l2 + l1 * h2 + (l1 * l2 >> 16);
    if (x >> 16 >= 24)
        return 0;
    const uint32_t *entry = model_powers + (x >> 10 & 63);
    const uint32_t high = MODEL_UINT32(entry), low = MODEL_UINT32(entry + 1);
    return (high - ((high - low) * (x & 1023) >> 10)) >> (x >> 16);
}

// Turns the scores of a position into weights w_v = 2^23 * e^((s_v - s_max) / T), p_v = w_v / sum_u w_u; returns their sum, which
// is the smaller the surer the network is. At temperature 0 they are those of temperature 1.
static uint32_t model_weigh(uint32_t *scores, uint32_t sharpness)
{
    int32_t largest = INT32_MIN;
    for (unsigned v = 0; v < MODEL_LETTERS; v++)
        if ((int32_t)scores[v] > largest)
            largest = (int32_t)scores[v];
    if (sharpness == MODEL_LIKELIEST)
        sharpness = MODEL_TEMPERATURE(1000);
    uint32_t total = 0;
    for (unsigned v = 0; v < MODEL_LETTERS; v++) {
        scores[v] = model_weight_of((uint32_t)largest - scores[v], sharpness);
        total += scores[v];
    }
    return total;
}

// Draws a letter by its weight: the first whose cumulated weight exceeds a uniform number below the total. At temperature 0, the
// first of the likeliest, whose weight is 2^23.
static uint8_t model_drawn(const uint32_t *weights, uint32_t total, uint32_t sharpness, uint32_t word)
{
    uint32_t left = model_below(word, total);
    unsigned v = 0;
    if (sharpness == MODEL_LIKELIEST)
        while (v + 1 < MODEL_LETTERS && weights[v] != (uint32_t)1 << 23)
            v++;
    else
        while (v + 1 < MODEL_LETTERS && left >= weights[v])
            left -= weights[v++];
    return (uint8_t)v;
}

// --------------------------------------------------------------------------------------------------------------- Texts

// A text on its way out of masks. Yours to place; MODEL_RAM bytes.
typedef struct {
    model_network network;
    uint32_t key[2];     // of the text's own stream
    uint32_t sharpness;  // log2(e) / T in units of 2^-16; MODEL_LIKELIEST for T = 0
    uint8_t order;       // MODEL_RANDOM or MODEL_CONFIDENCE
    uint8_t revealed;    // letters drawn so far
} model_state;

// The bytes that a model_state takes.
#define MODEL_RAM sizeof(model_state)

// Settings of a draw. `model_settings settings = MODEL_DEFAULTS;` are those of model_sample.
typedef struct {
    uint8_t order;       // MODEL_RANDOM or MODEL_CONFIDENCE
    uint32_t sharpness;  // MODEL_TEMPERATURE(680), in thousandths, for the temperature 0.68; MODEL_TEMPERATURE(0): the likeliest letter
    uint8_t length;      // number of letters; 0 draws it from the table
    // "m?r?a" keeps m, r and a, and gives the length; a backslash takes the next letter as it is; NULL gives nothing. Bytes are
    // compared and nothing is trimmed, composed (NFC) or put in lower case: write letters as the list's prepared lines have them.
    const char *pattern;
} model_settings;

#define MODEL_DEFAULTS { @ORDER@, MODEL_TEMPERATURE(@MILLI@), 0, NULL }

// Whether `text` begins with letter v; then moves it past that.
static bool model_reads(const char **text, unsigned v)
{
    const uint8_t *letter = model_alphabet + v * MODEL_LETTER_BYTES;
    unsigned bytes = 0;
    while (bytes < MODEL_LETTER_BYTES && MODEL_BYTE(letter + bytes) != 0) {
        if ((uint8_t)(*text)[bytes] != MODEL_BYTE(letter + bytes))
            return false;
        bytes++;
    }
    *text += bytes;
    return true;
}

// Reads one place of a pattern and moves past it: a symbol, MODEL_MASK for `?`, or -1 if no text can meet it.
static int model_place(const char **pattern)
{
    if (**pattern == '?') {
        ++*pattern;
        return MODEL_MASK;
    }
    if (**pattern == '*')
        return -1;
    if (**pattern == '\\')
        ++*pattern;
    for (unsigned v = 0; v < MODEL_LETTERS; v++)
        if (model_reads(pattern, v))
            return (int)v;
    return -1;
}

// The length of a text, 1 ... MODEL_POSITIONS: n with probability weight_n / MODEL_LENGTHS_TOTAL, weight_n = L c_n + 1.
static unsigned model_drawn_length(const uint32_t key[2])
{
    uint32_t words[2];
    model_random(key, 0xFFFFFFFFu, 0, words);
    uint32_t left = model_below(words[0], MODEL_LENGTHS_TOTAL);
    unsigned n = 1;
    while (n < MODEL_POSITIONS && left >= MODEL_UINT32(model_lengths + n - 1)) {
        left -= MODEL_UINT32(model_lengths + n - 1);
        n++;
    }
    return n;
}

// Begins text `number` of `seed`: its length, masks, and given letters.
//
// False if no text can meet the settings: too many letters, one that the alphabet lacks, a `*`, or a length that the
// pattern does not have.
static inline bool model_start(model_state *state, const model_settings *settings, uint64_t seed, uint32_t number)
{
    // The key of the seed, of all that is sampled by it, and of this text.
    const uint32_t sampling = 3;
    state->key[0] = (uint32_t)seed;
    state->key[1] = (uint32_t)(seed >> 32);
    model_random(state->key, sampling, 0, state->key);
    model_random(state->key, number, 0, state->key);
    state->sharpness = settings->sharpness;
    state->order = settings->order;
    state->revealed = 0;
    unsigned length = settings->length;
    if (settings->pattern != NULL) {
        unsigned places = 0;
        for (const char *rest = settings->pattern; *rest != 0; places++)
            if (places == MODEL_POSITIONS || model_place(&rest) < 0)
                return false;
        if (places == 0 || (length != 0 && length != places))
            return false;
        length = places;
    }
    if (length > MODEL_POSITIONS)
        return false;
    if (length == 0)
        length = model_drawn_length(state->key);
    model_begin(&state->network, length);
    const char *rest = settings->pattern;
    for (unsigned l = 0; l < length; l++) {
        // Of an alphabet of one letter nothing is hidden.
        const int symbol = MODEL_LETTERS == 1 ? 0 : rest == NULL ? MODEL_MASK : model_place(&rest);
        if (symbol != MODEL_MASK)
            model_put(&state->network, l, (uint8_t)symbol);
    }
    return true;
}

// Reveals one letter; false, and nothing else, where none is masked.
static inline bool model_step(model_state *state)
{
    model_network *network = &state->network;
    const bool random = state->order == MODEL_RANDOM;
    unsigned chosen = MODEL_POSITIONS, first = MODEL_POSITIONS, last = 0;
    uint32_t least = 0, words[2], word = 0;
    uint8_t symbol = 0;
    // Masked positions, and in random order the one of the least rank, the second word.
    for (unsigned l = 0; l < network->length; l++) {
        if (network->symbols[l] != MODEL_MASK)
            continue;
        first = first < l ? first : l;
        last = l;
        if (random) {
            model_random(state->key, state->revealed, l, words);
            if (chosen == MODEL_POSITIONS || words[1] < least) {
                least = words[1];
                word = words[0];
                chosen = l;
            }
        }
    }
    if (first == MODEL_POSITIONS)
        return false;
    if (random) {
        model_evaluate(network, chosen, chosen);
        model_scores(network, chosen);
        const uint32_t total = model_weigh(network->work, state->sharpness);
        symbol = model_drawn(network->work, total, state->sharpness, word);
    } else {
        // The position whose likeliest letter has the largest probability, 2^23 / total; the first of equals.
        model_evaluate(network, first, last);
        for (unsigned l = first; l <= last; l++) {
            if (network->symbols[l] != MODEL_MASK)
                continue;
            model_scores(network, l);
            const uint32_t total = model_weigh(network->work, state->sharpness);
            if (chosen == MODEL_POSITIONS || total < least) {
                least = total;
                chosen = l;
                model_random(state->key, state->revealed, l, words);
                symbol = model_drawn(network->work, total, state->sharpness, words[0]);
            }
        }
    }
    model_put(network, chosen, symbol);
    state->revealed++;
    return true;
}

// Writes the text in UTF-8, with `mask` for each hidden letter and a 0 at the end; letters beyond `size` are left out. Returns the
// bytes of the whole text without the 0. If these are `size` or more, letters were left out.
static inline size_t model_show(const model_state *state, char mask, char *text, size_t size)
{
    size_t written = 0, needed = 0;
    for (unsigned l = 0; l < state->network.length; l++) {
        const uint8_t symbol = state->network.symbols[l];
        const uint8_t *letter = model_alphabet + (size_t)symbol * MODEL_LETTER_BYTES;
        unsigned bytes = symbol == MODEL_MASK;
        while (symbol != MODEL_MASK && bytes < MODEL_LETTER_BYTES && MODEL_BYTE(letter + bytes) != 0)
            bytes++;
        if (written == needed && needed + bytes < size) {
            for (unsigned i = 0; i < bytes; i++)
                text[written + i] = symbol == MODEL_MASK ? mask : (char)MODEL_BYTE(letter + i);
            written += bytes;
        }
        needed += bytes;
    }
    if (size > 0)
        text[written] = 0;
    return needed;
}

// Draws text `number` of `seed` by `settings` into `text`, as model_show writes it. Returns 0, and an empty text, if no text
// can meet the settings.
static inline size_t model_sample_with(const model_settings *settings, uint64_t seed, uint32_t number, char *text, size_t size)
{
    model_state state;
    if (!model_start(&state, settings, seed, number)) {
        if (size > 0)
            text[0] = 0;
        return 0;
    }
    while (model_step(&state)) {
    }
    return model_show(&state, '_', text, size);
}

// Draws text `number` of `seed` into `text`: what line number + 1 of `micro-diffusion sample --model FILE --seed SEED` prints.
static inline size_t model_sample(uint64_t seed, uint32_t number, char *text, size_t size)
{
    const model_settings settings = MODEL_DEFAULTS;
    return model_sample_with(&settings, seed, number, text, size);
}

#endif

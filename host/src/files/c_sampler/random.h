
// ---------------------------------------------------------------------------------------------------------- Randomness

// x turned left by `places`, 1 ... 31.
static uint32_t model_turned(uint32_t x, unsigned places)
{
    return x << places | x >> (32 - places);
}

// Threefry-2x32 with 20 rounds: two random words for each key k0, k1 and counter a, b.
//
// A round is x0 += x1; x1 = turned(x1, r) ^ x0. After every fourth, number n = 1 ... 5, x0 += k_(n mod 3) and
// x1 += k_(n+1 mod 3) + n, with k2 = k0 ^ k1 ^ 0x1BD11BDA.
//
// Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
MODEL_APART static void model_random(const uint32_t key[2], uint32_t a, uint32_t b, uint32_t words[2])
{
    uint32_t first = key[0], second = key[1], third = first ^ second ^ 0x1BD11BDAu;
    uint32_t x0 = a + first, x1 = b + second;
    for (unsigned n = 1;; n++) {
        uint32_t before = first;
        first = second;
        second = third;
        third = before;
        if (n % 2 == 1) {
            x0 += x1; x1 = model_turned(x1, 13) ^ x0;
            x0 += x1; x1 = model_turned(x1, 15) ^ x0;
            x0 += x1; x1 = model_turned(x1, 26) ^ x0;
            x0 += x1; x1 = model_turned(x1, 6) ^ x0;
        } else {
            x0 += x1; x1 = model_turned(x1, 17) ^ x0;
            x0 += x1; x1 = model_turned(x1, 29) ^ x0;
            x0 += x1; x1 = model_turned(x1, 16) ^ x0;
            x0 += x1; x1 = model_turned(x1, 24) ^ x0;
        }
        x0 += first;
        x1 += second + n;
        if (n == 5)
            break;
    }
    words[0] = x0;
    words[1] = x1;
}

// A uniform number in 0 ... bound - 1 from a random word: floor(word * bound / 2^32), in products of 16 bits.
static uint32_t model_below(uint32_t word, uint32_t bound)
{
    const uint32_t high = word >> 16, low = word & 0xFFFF;
    const uint32_t middle = high * (bound & 0xFFFF) + (low * (bound & 0xFFFF) >> 16);
    return high * (bound >> 16) + (middle >> 16) + ((low * (bound >> 16) + (middle & 0xFFFF)) >> 16);
}

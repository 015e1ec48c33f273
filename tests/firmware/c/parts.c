// What the parts of a sampler compute, each as a checksum over many arguments: the generator, uniform numbers, weights, the largest
// sums of products, and every score of masked positions in TEXTS texts. Built as names.c is, for what reads flash like memory.
#include "board.h"
#include HEADER

// FNV-1a over the bytes of words.
static uint32_t hash;

static void add(uint32_t word)
{
    for (unsigned i = 0; i < 4; i++) {
        hash = (hash ^ (word & 0xFF)) * 0x01000193u;
        word >>= 8;
    }
}

static void begin(void)
{
    hash = 0x811C9DC5u;
}

static void end(const char *part)
{
    char digits[10];
    for (unsigned i = 0; i < 8; i++) {
        const uint32_t digit = hash >> (28 - 4 * i) & 15;
        digits[i] = (char)(digit < 10 ? '0' + digit : 'a' + digit - 10);
    }
    digits[8] = '\n';
    digits[9] = 0;
    print(part);
    print(" ");
    print(digits);
}

int main(void)
{
    const uint32_t key[2] = { 1, 2 };
    uint32_t words[2];
    begin();
    for (uint32_t i = 0; i < 1000; i++) {
        model(random)(key, i, i * i, words);
        add(words[0]);
        add(words[1]);
    }
    end("random");
    begin();
    for (uint32_t i = 0; i < 20000; i++) {
        model(random)(key, i, 0, words);
        add(model(below)(words[0], words[1]));
        add(model(below)(words[0], words[1] >> (i & 31)));
    }
    end("below");
    begin();
    for (uint32_t i = 0; i < 20000; i++) {
        model(random)(key, i, 1, words);
        add(model(weight_of)(words[0] >> (i & 31), words[1] >> (i >> 5 & 31)));
    }
    end("weight");
    begin();
    // As many rows as four bits have room for.
    uint32_t sums[MODEL(SUMS)(MODEL(LETTERS))];
    model(clear)(sums, MODEL(LETTERS));
    for (uint32_t row = 0; row < 65535 / (15 * MODEL(LARGEST)); row++) {
        uint8_t codes[MODEL(ROW)(MODEL(LETTERS)) + 3] = { 0 };
        for (unsigned i = 0; i < MODEL(ROW)(MODEL(LETTERS)); i++) {
            model(random)(key, row, i, words);
            codes[i] = (uint8_t)(words[0] & 0xFF);
        }
        model(add_product)(codes, sums, MODEL(LETTERS), MODEL(LARGEST));
    }
    model(arrange)(sums, MODEL(LETTERS));
    for (unsigned v = 0; v < MODEL(LETTERS); v++)
        add(sums[v]);
    end("products");
    begin();
    for (uint32_t text = 0; text < TEXTS; text++) {
        model(network) network;
        const unsigned length = 1 + text % MODEL(POSITIONS);
        unsigned first = length, last = 0;
        model(begin)(&network, length);
        for (unsigned l = 0; l < length; l++) {
            model(random)(key, text, l, words);
            if (words[0] % 2 == 0 || (l + 1 == length && first == length)) {
                first = first < l ? first : l;
                last = l;
            } else {
                model(put)(&network, l, (uint8_t)model(below)(words[1], MODEL(LETTERS)));
            }
        }
        // All masked positions together, and then one of them alone.
        for (unsigned alone = 0; alone < 2; alone++) {
            first = alone == 1 ? last : first;
            model(evaluate)(&network, first, last);
            for (unsigned l = first; l <= last; l++)
                if (network.symbols[l] == MODEL(MASK)) {
                    model(scores)(&network, l);
                    for (unsigned v = 0; v < MODEL(LETTERS); v++)
                        add(network.work[v]);
                }
        }
    }
    end("scores");
    leave(0);
    return 0;
}

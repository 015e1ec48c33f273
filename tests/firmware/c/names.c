// 100 names of seeds 0 ... 99 in random order, then as many by confidence, as `sample --sampler ORDER --seed SEED --num 1` prints
// them. The program is built for a model by -DHEADER="names.h" -Dmodel(x)=names_##x -DMODEL(x)=NAMES_##x.
#include <stdbool.h>
#include "board.h"
#include HEADER

#ifndef SEEDS
#define SEEDS 100
#endif
#ifndef ORDERS
#define ORDERS 2
#endif

// Where the instruction counter looks: it notes the count at each entry.
__attribute__((noinline)) void mark(void);
void mark(void)
{
    __asm__ volatile("");
}

int main(void)
{
    const uint8_t orders[2] = { MODEL(RANDOM), MODEL(CONFIDENCE) };
    for (unsigned order = 0; order < ORDERS; order++)
        for (unsigned seed = 0; seed < SEEDS; seed++) {
            char text[MODEL(TEXT)];
            model(settings) settings = MODEL(DEFAULTS);
            settings.order = orders[order];
            mark();
            model(sample_with)(&settings, seed, 0, text, sizeof text);
            mark();
            print(text);
            print("\n");
        }
    leave(0);
    return 0;
}

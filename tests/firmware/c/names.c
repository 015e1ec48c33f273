// SEEDS names of the seeds 0, STRIDE, 2 STRIDE ... in random order, then, if ORDERS is 2, as many by confidence: what
// `sample --sampler ORDER --seed SEED --num 1` prints.
//
// The program is built for a model called x by -DHEADER="x.h" -Dmodel(name)=x_##name -DMODEL(name)=X_##name.
#include "board.h"
#include HEADER

// Where the instruction counter looks: it notes the count at each entry.
void mark(void);
__attribute__((noinline)) void mark(void)
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
#ifdef THOUSANDTHS
            settings.sharpness = MODEL(TEMPERATURE)(THOUSANDTHS);
#endif
            mark();
            model(sample_with)(&settings, (uint64_t)STRIDE * seed, 0, text, sizeof text);
            mark();
            print(text);
            print("\n");
        }
    leave(0);
    return 0;
}

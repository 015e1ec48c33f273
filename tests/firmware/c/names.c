// NAMES names in random order, then, if ORDERS is 2, as many by confidence: name i is what line NUMBER(i) + 1 of
// `sample --sampler ORDER --seed SEED(i)` prints.
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
        for (unsigned i = 0; i < NAMES; i++) {
            char text[MODEL(TEXT)];
            model(settings) settings = MODEL(DEFAULTS);
            settings.order = orders[order];
#ifdef THOUSANDTHS
            settings.sharpness = MODEL(TEMPERATURE)(THOUSANDTHS);
#endif
            mark();
            model(sample_with)(&settings, SEED(i), NUMBER(i), text, sizeof text);
            mark();
            print(text);
            print("\n");
        }
    leave(0);
    return 0;
}

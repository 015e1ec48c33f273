// Five names, each state of them shown: what `sample --trace --seed 1 --num 5` prints, a line for each state. Built as names.c is.
#include "board.h"
#include HEADER

int main(void)
{
    model(state) state;
    const model(settings) settings = MODEL(DEFAULTS);
    char text[MODEL(TEXT)];
    for (uint32_t number = 0; number < 5; number++)
        if (model(start)(&state, &settings, 1, number))
            do {
                model(show)(&state, '_', text, sizeof text);
                print(text);
                print("\n");
            } while (model(step)(&state));
    leave(0);
    return 0;
}

// What a name costs an AVR: for each seed 0 ... NAMES - 1 the name and its time in units of 1024 cycles; then the
// deepest that the stack reached, in bytes. Memory is painted before, and what is still painted after was never used.
#include "board.h"
#include HEADER

#define PAINT 0xA5

extern uint8_t _end;

static void print_number(uint32_t number)
{
    char digits[11];
    unsigned place = 10;
    digits[10] = 0;
    do {
        digits[--place] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    print(digits + place);
}

int main(void)
{
    for (uint8_t *byte = &_end; byte < (uint8_t *)SP - 16; byte++)
        *byte = PAINT;
    // A clock of 1 / 1024, which goes round in 4 seconds.
    TCCR1A = 0;
    TCCR1B = 1 << CS12 | 1 << CS10;
    for (unsigned seed = 0; seed < NAMES; seed++) {
        char text[MODEL(TEXT)];
        TCNT1 = 0;
        model(sample)(seed, 0, text, sizeof text);
        const uint16_t time = TCNT1;
        print(text);
        print(" ");
        print_number(time);
        print("\n");
    }
    const uint8_t *byte = &_end;
    while (*byte == PAINT)
        byte++;
    print_number((uint32_t)(RAMEND + 1 - (uintptr_t)byte));
    print("\n");
    leave(0);
    return 0;
}

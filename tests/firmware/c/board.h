// What the C programs of the tests share on emulated chips: where they start, what they print to, and how they end. ARM and RISC-V
// print through the debugger (semihosting), an AVR to its serial port, and a desktop to stdout.
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

#if defined(__arm__) || defined(__riscv)

#if defined(__arm__)
static inline void semihosting(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}
#else
// Three instructions that do nothing else in this order.
static inline void semihosting(uint32_t operation, const void *argument)
{
    register uint32_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;
    __asm__ volatile(".balign 16\n .option push\n .option norvc\n slli zero, zero, 0x1f\n ebreak\n srai zero, zero, 7\n .option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
}
#endif

static inline void print(const char *text)
{
    for (; *text != 0; text++)
        semihosting(3, text);
}

static inline void leave(int code)
{
    semihosting(0x18, (const void *)(uintptr_t)(code == 0 ? 0x20026 : 0x20023));
    for (;;) {
    }
}

int main(void);

// There is nothing to copy and nothing to clear: the linker refuses variables outside the stack.
__attribute__((used)) static void start(void)
{
    leave(main());
}

__attribute__((used)) static void fault(void)
{
    print("fault\n");
    leave(1);
}

#if defined(__arm__)
extern char stack_top;
union vector {
    char *stack;
    void (*handler)(void);
};
__attribute__((section(".vectors"), used)) static const union vector vectors[16] = {
    { .stack = &stack_top },  { .handler = start }, { .handler = fault }, { .handler = fault },
    { .handler = fault },     { .handler = fault }, { .handler = fault }, { .handler = fault },
    { .handler = fault },     { .handler = fault }, { .handler = fault }, { .handler = fault },
    { .handler = fault },     { .handler = fault }, { .handler = fault }, { .handler = fault },
};
#else
__asm__(".section .vectors, \"ax\"\n .option arch, +zicsr\n .global reset\n reset:\n la t0, trap\n csrw mtvec, t0\n la sp, stack_top\n j start\n"
        " .balign 4\n trap:\n la sp, stack_top\n j fault\n .text\n");
#endif

// What the compiler calls to copy and to fill memory.
#define AS_WRITTEN __attribute__((used, optimize("no-tree-loop-distribute-patterns")))
void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);

AS_WRITTEN void *memcpy(void *to, const void *from, size_t count)
{
    char *byte = (char *)to;
    for (const char *source = (const char *)from; count > 0; count--)
        *byte++ = *source++;
    return to;
}

AS_WRITTEN void *memset(void *to, int value, size_t count)
{
    for (char *byte = (char *)to; count > 0; count--)
        *byte++ = (char)value;
    return to;
}

#elif defined(__AVR__)

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

static inline void send(char byte)
{
    while (!(UCSR0A & 1 << UDRE0)) {
    }
    UDR0 = (uint8_t)byte;
}

// Prints to the serial port. The emulator shows ASCII alone, so that other bytes are written as \ and two hexadecimal digits.
static inline void print(const char *text)
{
    UCSR0B = 1 << TXEN0;
    for (; *text != 0; text++) {
        const uint8_t byte = (uint8_t)*text;
        if (byte < 128 && byte != '\\') {
            send(*text);
            continue;
        }
        send('\\');
        for (uint8_t i = 0; i < 2; i++) {
            const uint8_t digit = i == 0 ? byte >> 4 : byte & 15;
            send((char)(digit < 10 ? '0' + digit : 'a' + digit - 10));
        }
    }
}

// Asleep without interrupts: the emulator ends.
static inline void leave(int code)
{
    if (code != 0)
        print("failed\n");
    cli();
    sleep_mode();
}

#else

#include <stdio.h>

static inline void print(const char *text)
{
    fputs(text, stdout);
}

static inline void leave(int code)
{
    (void)code;
}

#endif
#endif

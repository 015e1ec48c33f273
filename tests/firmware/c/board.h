// What the C programs on emulated chips share: where they start, what they print to, and how they end. Everything goes through
// the debugger (semihosting), which QEMU serves. On the desktop the same programs print to stdout.
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
static inline void semihosting(uint32_t operation, const void *argument)
{
    register uint32_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;
    // Three instructions that do nothing else in this order, on one page.
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
#if defined(__arm__)
extern char stack_top;
__attribute__((noreturn)) static void start(void)
{
    leave(main());
    for (;;) {
    }
}
__attribute__((noreturn)) static void fault(void)
{
    print("fault\n");
    leave(1);
    for (;;) {
    }
}
__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &stack_top, (void *)start, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
    (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};
#else
__attribute__((used, noreturn)) static void fault(void)
{
    print("fault\n");
    leave(1);
    for (;;) {
    }
}
__attribute__((used, noreturn)) static void begin(void)
{
    leave(main());
    for (;;) {
    }
}
__asm__(".section .vectors, \"ax\"\n .global start\n start:\n la t0, trap\n csrw mtvec, t0\n la sp, stack_top\n j begin\n"
        " .balign 4\n trap:\n la sp, stack_top\n j fault\n .text\n");
#endif

// What the compiler calls to copy and to fill memory.
__attribute__((used, optimize("no-tree-loop-distribute-patterns"))) void *memcpy(void *to, const void *from, size_t count)
{
    char *byte = (char *)to;
    for (const char *source = (const char *)from; count > 0; count--)
        *byte++ = *source++;
    return to;
}
__attribute__((used, optimize("no-tree-loop-distribute-patterns"))) void *memset(void *to, int value, size_t count)
{
    for (char *byte = (char *)to; count > 0; count--)
        *byte++ = (char)value;
    return to;
}

#elif defined(__AVR__)

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>

// The serial port, which the emulator prints.
static inline void print(const char *text)
{
    UCSR0B = 1 << TXEN0;
    for (; *text != 0; text++) {
        while (!(UCSR0A & 1 << UDRE0)) {
        }
        UDR0 = (uint8_t)*text;
    }
}

// Asleep without interrupts: the emulator ends.
static inline void leave(int code)
{
    print(code == 0 ? "" : "failed\n");
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

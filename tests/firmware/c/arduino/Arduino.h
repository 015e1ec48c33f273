// As much of Arduino as the exported sketch uses, on a desktop: the serial port is stdout, and time stands still.
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stdint.h>
#include <stdio.h>

struct SerialPort {
    void begin(unsigned long) {}
    explicit operator bool() const { return true; }
    void print(const char *text) { fputs(text, stdout); }
    void print(char character) { putchar(character); }
    void println() { putchar('\n'); }
};

static SerialPort Serial;

static inline unsigned long millis() { return 0; }
static inline void delay(unsigned long) {}

#endif

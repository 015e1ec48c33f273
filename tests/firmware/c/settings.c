// A text a line by settings from the command line: order, temperature in thousandths, length, pattern ("-" for none), seed, how many.
// Without any, 100 texts by model_sample of a seed beyond 32 bits, and a check of texts that are cut. Built as names.c is, on a desktop.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include HEADER

static int cut(void)
{
    char whole[MODEL(TEXT)], text[MODEL(TEXT) + 1];
    for (uint32_t number = 0; number < 20; number++) {
        const size_t length = model(sample)(1, number, whole, sizeof whole);
        if (length != strlen(whole))
            return 1;
        for (size_t size = 0; size <= MODEL(TEXT); size++) {
            memset(text, '#', sizeof text);
            if (model(sample)(1, number, text, size) != length || text[size] != '#')
                return 2;
            // What is written is a beginning of the text, of whole letters.
            if (size > 0 && (strlen(text) >= size || strncmp(text, whole, strlen(text)) != 0 || (whole[strlen(text)] & 0xC0) == 0x80))
                return 3;
        }
    }
    return 0;
}

int main(int count, char **words)
{
    char text[MODEL(TEXT)];
    if (count < 7) {
        for (uint32_t number = 0; number < 100; number++) {
            model(sample)(5000000007u, number, text, sizeof text);
            puts(text);
        }
        return cut();
    }
    model(settings) settings = MODEL(DEFAULTS);
    const uint32_t temperature = (uint32_t)strtoul(words[2], NULL, 10);
    settings.order = strcmp(words[1], "random") == 0 ? MODEL(RANDOM) : MODEL(CONFIDENCE);
    settings.sharpness = MODEL(TEMPERATURE)(temperature);
    settings.length = (uint8_t)atoi(words[3]);
    settings.pattern = strcmp(words[4], "-") == 0 ? NULL : words[4];
    for (uint32_t number = 0; number < (uint32_t)atoi(words[6]); number++)
        puts(model(sample_with)(&settings, (uint64_t)atoll(words[5]), number, text, sizeof text) > 0 ? text : "refused");
    return 0;
}

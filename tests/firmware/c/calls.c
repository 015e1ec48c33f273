// Everything that a program can call, for a look at what the compiler makes of it. Built as names.c is.
#include HEADER

size_t calls(model(state) *state, model(settings) *settings, uint64_t seed, uint32_t number, char *text, size_t size);

size_t calls(model(state) *state, model(settings) *settings, uint64_t seed, uint32_t number, char *text, size_t size)
{
    settings->sharpness = MODEL(TEMPERATURE)(800);
    if (model(start)(state, settings, seed, number))
        while (model(step)(state))
            model(show)(state, '_', text, size);
    return model(sample)(seed, number, text, size) + model(sample_with)(settings, seed, number, text, size);
}

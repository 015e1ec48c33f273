// A QEMU plugin: how many instructions a program executes, how many cycles a simple core would take for them, and how
// deep its stack reaches.
//
// build: gcc -O2 -shared -fPIC -o count.so count.c          (plugin interface version 1: QEMU 4.2 to 8.2; no headers needed)
// use:   qemu-system-arm … -plugin count.so,out=FILE,mark=ADDRESS,low=ADDRESS,high=ADDRESS
//
// Each time the function at `mark` is entered, FILE gets a line "mark INSTRUCTIONS CYCLES" of the totals so far; at the end
// one "end INSTRUCTIONS CYCLES LOWEST", LOWEST being the lowest address in low … high − 1 that was written, or `high`.
//
// The count of instructions is exact. The cycles are a model: one for each instruction, one more for each word or part of
// one that is loaded or stored, two more for each jump. That is the Cortex-M0's table (Technical Reference Manual r0p0,
// table 3-1, with the fast multiplier) but for calls, which take one more there, and it knows no wait states.
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What this uses of the plugin interface.
#define EXPORT __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { NO_REGISTERS = 0 };
enum { READ_WRITE = 3 };
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, void (*)(unsigned, uint32_t, uint64_t, void *), int, int,
                                      void *);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
bool qemu_plugin_mem_is_store(uint32_t);
EXPORT int qemu_plugin_version = 1;

// A run of instructions without a jump in between. A breakpoint, through which semihosting is called, ends one.
struct block {
    uint64_t start, end, instructions;
};

static FILE *out;
static uint64_t mark = UINT64_MAX, low, high, lowest;
static uint64_t instructions, accesses, jumps, expected;

static uint64_t cycles(void) { return instructions + accesses + 2 * jumps; }

static void on_block(unsigned cpu, void *data)
{
    const struct block *block = data;
    jumps += block->start != expected;
    expected = block->end;
    if (block->start == mark)
        fprintf(out, "mark %" PRIu64 " %" PRIu64 "\n", instructions, cycles());
    instructions += block->instructions;
}

static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *data)
{
    accesses++;
    if (qemu_plugin_mem_is_store(info) && address >= low && address < lowest)
        lowest = address;
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);
    struct block *block = malloc(sizeof *block);
    block->instructions = count;
    block->start = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, NO_REGISTERS, READ_WRITE, NULL);
        block->end = qemu_plugin_insn_vaddr(insn) + qemu_plugin_insn_size(insn);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, NO_REGISTERS, block);
}

static void on_end(plugin_id id, void *data)
{
    fprintf(out, "end %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", instructions, cycles(), lowest);
    fclose(out);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    out = NULL;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(argv[i] + 4, "w");
        else if (!strncmp(argv[i], "mark=", 5))
            mark = strtoull(argv[i] + 5, NULL, 0);
        else if (!strncmp(argv[i], "low=", 4))
            low = strtoull(argv[i] + 4, NULL, 0);
        else if (!strncmp(argv[i], "high=", 5))
            lowest = high = strtoull(argv[i] + 5, NULL, 0);
        else
            return 1;
    }
    if (!out)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}

/* peak.c - how much arithmetic this processor can do: what figures of an engine are set against.
 *
 * usage: peak [THREADS]
 *
 * Each kind of instruction runs in registers alone, in twelve chains that do not wait for each
 * other, on all threads at once; of many windows of a fraction of a millisecond the best of each
 * thread counts, so that what else the machine does takes nothing off.  Prints one JSON object:
 * billions of operations a second of all threads together (a multiply-add is two), without what
 * the processor lacks; and "clock", billions of dependent additions a second on one core.
 * run.py compiles it. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MAX = 256, WINDOWS = 150, ROUNDS = 30000, UNROLLED = 24 };

typedef struct kind {
    const char *name;
    void (*run)(void);     /* ROUNDS times UNROLLED instructions, or pairs of them */
    double operations;     /* of one */
    const char *needed[3]; /* what the processor must have */
} kind;

#if defined(__x86_64__)

#define TWELVE(one)                                                                                \
    one(0) one(1) one(2) one(3) one(4) one(5) one(6) one(7) one(8) one(9) one(10) one(11)
#define CLOBBERED                                                                                  \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "rax", "cc"

/* Factors that are not zero, as integers neither: zeros need less power. */
#define BEGIN(size) "vbroadcastss %0, %%" size "12\n vbroadcastss %0, %%" size "13\n"
static const float factor = 1.5707964f;

#define LOOP(name, size, each)                                                                     \
    static void name(void)                                                                         \
    {                                                                                              \
        __asm__ volatile(BEGIN(size)::"m"(factor) : CLOBBERED);                                    \
        for (int i = 0; i < ROUNDS; i++) __asm__ volatile(TWELVE(each) TWELVE(each)::: CLOBBERED); \
        __asm__ volatile("vzeroupper");                                                            \
    }

#define FMA_Y(n) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" #n "\n"
#define FMA_Z(n) "vfmadd231ps %%zmm12, %%zmm13, %%zmm" #n "\n"
#define MADD_Y(n) "vpmaddwd %%ymm12, %%ymm13, %%ymm14\n vpaddd %%ymm14, %%ymm" #n ", %%ymm" #n "\n"
#define MADD_Z(n) "vpmaddwd %%zmm12, %%zmm13, %%zmm14\n vpaddd %%zmm14, %%zmm" #n ", %%zmm" #n "\n"
#define WSSD_Z(n) "vpdpwssd %%zmm12, %%zmm13, %%zmm" #n "\n"
#define BUSD_Z(n) "vpdpbusd %%zmm12, %%zmm13, %%zmm" #n "\n"
#define ADD(n) "add $1, %%rax\n"

LOOP(fma_y, "ymm", FMA_Y)
LOOP(fma_z, "zmm", FMA_Z)
LOOP(madd_y, "ymm", MADD_Y)
LOOP(madd_z, "zmm", MADD_Z)
LOOP(wssd_z, "zmm", WSSD_Z)
LOOP(busd_z, "zmm", BUSD_Z)
LOOP(add, "xmm", ADD)

static const kind kinds[] = {
    {"clock", add, 1, {"avx"}},
    {"fp32 FMA, 256 bits", fma_y, 16, {"avx2", "fma"}},
    {"fp32 FMA, 512 bits", fma_z, 32, {"avx512f"}},
    {"int16 vpmaddwd and vpaddd, 256 bits", madd_y, 32, {"avx2"}},
    {"int16 vpmaddwd and vpaddd, 512 bits", madd_z, 64, {"avx512f", "avx512bw"}},
    {"int16 vpdpwssd, 512 bits", wssd_z, 64, {"avx512f", "avx512vnni"}},
    {"int8 vpdpbusd, 512 bits", busd_z, 128, {"avx512f", "avx512vnni"}},
};

/* The builtin takes literals alone. */
static bool has(const char *what)
{
    __builtin_cpu_init();
    if (!what) return true;
    if (!strcmp(what, "avx")) return __builtin_cpu_supports("avx");
    if (!strcmp(what, "avx2")) return __builtin_cpu_supports("avx2");
    if (!strcmp(what, "fma")) return __builtin_cpu_supports("fma");
    if (!strcmp(what, "avx512f")) return __builtin_cpu_supports("avx512f");
    if (!strcmp(what, "avx512bw")) return __builtin_cpu_supports("avx512bw");
    return __builtin_cpu_supports("avx512vnni");
}

#else

static const kind kinds[] = {{"nothing is known of this processor", NULL, 0, {NULL}}};

static bool has(const char *what)
{
    return !what && false;
}

#endif

enum { N_KINDS = sizeof kinds / sizeof *kinds };

typedef struct worker {
    pthread_barrier_t *together;
    double best[N_KINDS]; /* seconds of a window */
} worker;

static bool possible(const kind *k)
{
    return has(k->needed[0]) && has(k->needed[1]) && has(k->needed[2]);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *measure(void *arg)
{
    worker *w = arg;
    for (size_t k = 0; k < N_KINDS; k++) {
        w->best[k] = 1e9;
        if (!possible(&kinds[k])) continue;
        pthread_barrier_wait(w->together);
        for (int i = 0; i < WINDOWS; i++) {
            double from = now();
            kinds[k].run();
            double took = now() - from;
            if (took < w->best[k]) w->best[k] = took;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static worker workers[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    pthread_barrier_t together;
    const int n = argc > 1 ? atoi(argv[1]) : 1;
    const char *between = "{";
    if (n < 1 || n > THREADS_MAX) return 2;
    pthread_barrier_init(&together, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        workers[i].together = &together;
        if (pthread_create(&threads[i], NULL, measure, &workers[i])) return 1;
    }
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    for (size_t k = 0; k < N_KINDS; k++) {
        double rate = 0;
        if (!possible(&kinds[k])) continue;
        for (int i = 0; i < (k ? n : 1); i++)
            rate += (double)ROUNDS * UNROLLED * kinds[k].operations / workers[i].best[k] * 1e-9;
        printf("%s\"%s\": %.4g", between, kinds[k].name, rate);
        between = ", ";
    }
    printf("%s}\n", *between == '{' ? "{" : "");
    return 0;
}

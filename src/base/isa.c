/* isa.c - CPUID once, through the compiler's own check (it looks at XGETBV too). */
#include "base/isa.h"

#include <stdlib.h>

#include "base/str.h"

static const char *const names[] = {"scalar", "avx2", "avx512", "avx512vnni"};

isa isa_best(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return ISA_SCALAR;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return ISA_AVX2;
    return __builtin_cpu_supports("avx512vnni") ? ISA_AVX512VNNI : ISA_AVX512;
#else
    return ISA_SCALAR;
#endif
}

const char *isa_name(isa i)
{
    return names[i];
}

status isa_choose(isa *out, err *e)
{
    const char *want = getenv("TAMIS_ISA");
    isa have = isa_best();
    *out = have;
    if (!want || !*want) return ST_OK;
    for (isa i = ISA_SCALAR; i <= ISA_AVX512VNNI; i++) {
        if (strcmp(want, names[i]) != 0) continue;
        *out = i;
        if (i <= have) return ST_OK;
        return err_set(e, ST_USAGE, "TAMIS_ISA=%s: this machine has no more than %s", want,
                       names[have]);
    }
    return err_set(e, ST_USAGE, "TAMIS_ISA=%s: not one of scalar, avx2, avx512, avx512vnni", want);
}

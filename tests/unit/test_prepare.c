/* test_prepare.c - records prepared by one thread and by several are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/compress.h"
#include "sync_prepare.h"

enum { MOST = 1000 };

typedef struct ground {
    arena a;
    packer *packer;
    str raws[MOST];
} ground;

/* Each seventh cannot be used; lengths differ. */
static void lay_out(ground *g)
{
    err e = {0};
    *g = (ground){0};
    assert_int_equal(packer_new(&g->packer, &e), ST_OK);
    for (int k = 0; k < MOST; k++) {
        char text[4096];
        int n = snprintf(text, sizeof text,
                         "{\"id\":\"int_%d\",\"timestamp\":\"%s\",\"botId\":\"b\",\"rating\":%d,"
                         "\"messages\":[{\"from\":\"user\",\"text\":\"%0*d\"}]}",
                         k, k % 7 == 6 ? "never" : "2026-01-01T00:00:00Z", k % 5, 1 + k, k);
        g->raws[k] = arena_str(&g->a, (str){text, (size_t)n});
        assert_non_null(g->raws[k].p);
    }
}

static void clear(ground *g)
{
    arena_release(&g->a);
    packer_free(g->packer);
}

static void check_one(ground *g, int k, prepare_extent extent, const prepared *p)
{
    err e = {0};
    buf packed = {0};
    char id[32];
    unsigned char hash[SHA256_SIZE];
    snprintf(id, sizeof id, "int_%d", k);
    assert_true(str_eq(p->of.id, str_from(id)));
    assert_int_equal(p->why != NULL, k % 7 == 6);
    if (p->why) assert_non_null(strstr(p->why, "no usable timestamp"));
    assert_int_equal(p->has_form, !p->why && extent != PREPARE_READ);
    if (p->has_form) {
        sha256_of(g->raws[k], hash);
        assert_memory_equal(p->form.hash, hash, sizeof hash);
        if (extent == PREPARE_PACK)
            assert_int_equal(packer_pack(g->packer, g->raws[k], &packed, &e), ST_OK);
        assert_true(str_eq(p->form.packed, buf_view(&packed)));
    }
    buf_release(&packed);
}

static void test_any_threads(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 15, 16, 63, 64, 65, 200, MOST, 3, 130};
    ground g;
    lay_out(&g);
    for (int n_threads = 0; n_threads <= 6; n_threads++) {
        err e = {0};
        preparer *p;
        assert_int_equal(preparer_new(n_threads, &p, &e), ST_OK);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            prepare_extent extent = (prepare_extent)((i + (size_t)n_threads) % 3);
            const prepared *all;
            assert_int_equal(preparer_run(p, g.raws, sizes[i], extent, &all, &e), ST_OK);
            for (size_t k = 0; k < sizes[i]; k++) check_one(&g, (int)k, extent, &all[k]);
        }
        preparer_free(p);
    }
    preparer_free(NULL);
    clear(&g);
}

static void test_one_record(void **state)
{
    (void)state;
    err e = {0};
    arena a = {0};
    prepared p;
    assert_int_equal(
        prepare_record(STR("{\"id\":\"x\",\"timestamp\":\"2026-01-01T00:00:00Z\"}"), &a, &p, &e),
        ST_OK);
    assert_null(p.why);
    assert_false(p.has_form);
    assert_int_equal(prepare_record(STR("{"), &a, &p, &e), ST_OK);
    assert_non_null(p.why);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_threads),
        cmocka_unit_test(test_one_record),
    };
    return cmocka_run_group_tests_name("prepare", tests, NULL, NULL);
}

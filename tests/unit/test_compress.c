/* test_compress.c - packed blobs, and files that are gzip, zstd or neither, whole and hurt;
 * their lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compress.h"
#include "base/lines.h"

static char dir[] = "/tmp/tamis-compress-XXXXXX";
static char path[64];

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/f", dir);
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void write_file(str bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.p ? bytes.p : "", 1, bytes.n, f), bytes.n);
    assert_int_equal(fclose(f), 0);
}

/* Text that packs well here and badly there, the same in every run. */
static void make_text(buf *b, size_t n)
{
    uint32_t x = 12345;
    for (size_t i = 0; b->n < n; i++) {
        x = x * 1664525 + 1013904223;
        if (x >> 28 == 0)
            for (int k = 0; k < 64; k++) buf_char(b, (char)((x = x * 1664525 + 1013904223) >> 24));
        buf_fmt(b, "{\"id\": \"%zu\", \"rating\": %u}\n", i, x >> 30);
    }
    b->n = n;
}

/* --- blobs -------------------------------------------------------------------------------- */

static void check_round_trip(packer *p, str plain)
{
    err e = {0};
    buf packed = {0}, again = {0}, back = {0};
    buf_z(&packed, "before");
    assert_int_equal(packer_pack(p, plain, &packed, &e), ST_OK);
    assert_memory_equal(packed.p, "before", 6);
    assert_int_equal(packer_pack(p, plain, &again, &e), ST_OK);
    str one = {packed.p + 6, packed.n - 6};
    assert_true(str_eq(one, buf_view(&again)));
    buf_z(&back, "x");
    assert_int_equal(packer_unpack(p, one, plain.n, &back, &e), ST_OK);
    assert_true(str_eq((str){back.p + 1, back.n - 1}, plain));
    if (plain.n) assert_int_equal(packer_unpack(p, one, plain.n - 1, &back, &e), ST_FAILED);
    assert_int_equal(back.n, plain.n + 1);
    buf_release(&packed);
    buf_release(&again);
    buf_release(&back);
}

static void test_blobs(void **state)
{
    (void)state;
    err e = {0};
    packer *p;
    buf text = {0};
    assert_int_equal(packer_new(&p, &e), ST_OK);
    check_round_trip(p, (str){NULL, 0});
    check_round_trip(p, STR("a"));
    check_round_trip(p, STR("\0\0nul\0"));
    make_text(&text, 700000);
    check_round_trip(p, buf_view(&text));
    check_round_trip(p, STR("small again"));
    buf_release(&text);
    packer_free(p);
    packer_free(NULL);
}

/* Every cut and every flipped bit of a blob is noticed, but for bits that change nothing. */
static void test_damaged_blobs(void **state)
{
    (void)state;
    err e = {0};
    packer *p;
    buf text = {0}, packed = {0}, back = {0};
    assert_int_equal(packer_new(&p, &e), ST_OK);
    make_text(&text, 900);
    assert_int_equal(packer_pack(p, buf_view(&text), &packed, &e), ST_OK);
    for (size_t n = 0; n < packed.n; n++)
        assert_int_equal(packer_unpack(p, (str){packed.p, n}, 1 << 20, &back, &e), ST_FAILED);
    for (size_t i = 0; i < packed.n * 8; i++) {
        packed.p[i / 8] ^= (char)(1 << i % 8);
        buf_clear(&back);
        if (packer_unpack(p, buf_view(&packed), 1 << 20, &back, &e) == ST_OK)
            assert_true(str_eq(buf_view(&back), buf_view(&text)));
        packed.p[i / 8] ^= (char)(1 << i % 8);
    }
    buf_clear(&back);
    buf_char(&packed, 'x');
    assert_int_equal(packer_unpack(p, buf_view(&packed), 1 << 20, &back, &e), ST_FAILED);
    assert_int_equal(packer_unpack(p, STR("\x50\x2a\x4d\x18\0\0\0\0"), 9, &back, &e), ST_FAILED);
    assert_int_equal(back.n, 0);
    buf_release(&text);
    buf_release(&packed);
    buf_release(&back);
    packer_free(p);
}

/* --- streams ------------------------------------------------------------------------------ */

/* Reads all, n bytes at a time. */
static status read_all(const char *from, size_t n, buf *out, err *e)
{
    instream *s;
    bool end = false;
    status st = instream_open(from, NULL, &s, e);
    if (st) return st;
    while (st == ST_OK && !end) {
        size_t before = out->n;
        st = instream_read(s, n, out, &end, e);
        if (st || end)
            assert_int_equal(out->n, before);
        else
            assert_in_range(out->n - before, 1, n);
    }
    if (st == ST_OK) { /* the end stays the end */
        assert_int_equal(instream_read(s, n, out, &end, e), ST_OK);
        assert_true(end);
    } else {
        err again = {0};
        assert_int_equal(instream_read(s, n, out, &end, &again), st);
    }
    instream_close(s);
    return st;
}

static void expect_text(str text)
{
    static const size_t steps[] = {1 << 20, 4096, 1021, 1};
    for (size_t i = 0; i < 4; i++) {
        err e = {0};
        buf out = {0};
        if (steps[i] == 1 && text.n > 100000) continue;
        if (read_all(path, steps[i], &out, &e)) fail_msg("%s", e.msg);
        assert_true(str_eq(buf_view(&out), text));
        buf_release(&out);
    }
}

static void add_zstd(str bytes, buf *out)
{
    err e = {0};
    packer *p;
    assert_int_equal(packer_new(&p, &e), ST_OK);
    assert_int_equal(packer_pack(p, bytes, out, &e), ST_OK);
    packer_free(p);
}

/* As gzip(1) makes it, without a name and a time. */
static void add_gzip(str bytes, buf *out)
{
    char line[256];
    write_file(bytes);
    snprintf(line, sizeof line, "gzip -nc < %s", path);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    for (;;) {
        char *p = buf_reserve(out, 65536);
        assert_non_null(p);
        size_t n = fread(p, 1, 65536, f);
        if (!n) break;
        out->n += n;
    }
    assert_int_equal(pclose(f), 0);
}

static void test_plain(void **state)
{
    (void)state;
    buf text = {0};
    write_file((str){0});
    expect_text((str){0});
    write_file(STR("a"));
    expect_text(STR("a"));
    write_file(STR("\x1f")); /* a part of a magic number is no magic number */
    expect_text(STR("\x1f"));
    write_file(STR("\x28\xb5\x2f"));
    expect_text(STR("\x28\xb5\x2f"));
    make_text(&text, 600001);
    write_file(buf_view(&text));
    expect_text(buf_view(&text));
    buf_release(&text);
}

static void (*const packers[])(str bytes, buf *out) = {add_gzip, add_zstd};

static void test_members_and_frames(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        buf text = {0}, packed = {0};
        make_text(&text, 500000);
        str whole = buf_view(&text);
        packers[k](whole, &packed);
        write_file(buf_view(&packed));
        expect_text(whole);
        buf_clear(&packed);
        packers[k]((str){whole.p, 7}, &packed);
        packers[k]((str){0}, &packed);
        packers[k]((str){whole.p + 7, 300000}, &packed);
        packers[k]((str){whole.p + 300007, whole.n - 300007}, &packed);
        write_file(buf_view(&packed));
        expect_text(whole);
        buf_clear(&packed);
        packers[k]((str){0}, &packed);
        write_file(buf_view(&packed));
        expect_text((str){0});
        buf_release(&text);
        buf_release(&packed);
    }
}

static void test_padding_and_skippable_frames(void **state)
{
    (void)state;
    static const char zeros[1000];
    buf b = {0};
    add_gzip(STR("one\n"), &b);
    buf_add(&b, zeros, sizeof zeros);
    add_gzip(STR("two\n"), &b);
    buf_add(&b, zeros, 3);
    write_file(buf_view(&b));
    expect_text(STR("one\ntwo\n"));
    buf_clear(&b);
    buf_str(&b, STR("\x5f\x2a\x4d\x18\x03\0\0\0abc"));
    add_zstd(STR("one\n"), &b);
    buf_str(&b, STR("\x50\x2a\x4d\x18\0\0\0\0"));
    write_file(buf_view(&b));
    expect_text(STR("one\n"));
    buf_release(&b);
}

/* A cut anywhere is told, with the file's name and the offset; so is a hurt byte. */
static void test_cut_and_damaged(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        buf text = {0}, packed = {0}, out = {0};
        char offset[64];
        make_text(&text, 3000);
        packers[k](buf_view(&text), &packed);
        for (size_t n = 4; n < packed.n; n++) {
            err e = {0};
            buf_clear(&out);
            write_file((str){packed.p, n});
            assert_int_equal(read_all(path, 4096, &out, &e), ST_FAILED);
            snprintf(offset, sizeof offset, "at byte %zu", n);
            assert_non_null(strstr(e.msg, path));
            assert_non_null(strstr(e.msg, offset));
        }
        for (size_t i = 10; i < packed.n; i++) {
            err e = {0};
            buf_clear(&out);
            packed.p[i] ^= 0x55;
            write_file(buf_view(&packed));
            packed.p[i] ^= 0x55;
            assert_int_equal(read_all(path, 1000, &out, &e), ST_FAILED);
            assert_non_null(strstr(e.msg, path));
            assert_non_null(strstr(e.msg, "at byte") ? e.msg : strstr(e.msg, "near byte"));
        }
        buf_z(&packed, "more");
        err e = {0};
        buf_clear(&out);
        write_file(buf_view(&packed));
        assert_int_equal(read_all(path, 1 << 20, &out, &e), ST_FAILED);
        buf_release(&text);
        buf_release(&packed);
        buf_release(&out);
    }
}

static void test_what_cannot_be_read(void **state)
{
    (void)state;
    err e = {0};
    buf out = {0};
    assert_int_equal(read_all("/no/such/file", 10, &out, &e), ST_FAILED);
    assert_string_equal(e.msg, "cannot open /no/such/file: No such file or directory");
    assert_int_equal(read_all(dir, 10, &out, &e), ST_FAILED);
    assert_non_null(strstr(e.msg, "Is a directory"));
    assert_non_null(strstr(e.msg, dir));
    /* A zstd frame that asks for a window of 2 GiB (RFC 8878, 3.1.1.1.2). */
    write_file(STR("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"));
    assert_int_equal(read_all(path, 10, &out, &e), ST_FAILED);
    assert_non_null(strstr(e.msg, "pack it again"));
    instream_close(NULL);
    buf_release(&out);
}

/* Standard input is a pipe into which the bytes come one by one. */
static void test_standard_input(void **state)
{
    (void)state;
    int ends[2], how, old = dup(STDIN_FILENO);
    err e = {0};
    buf packed = {0}, out = {0};
    add_gzip(STR("by and by"), &packed);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        for (size_t i = 0; i < packed.n; i++) {
            if (write(ends[1], packed.p + i, 1) != 1) _exit(1);
            usleep(1000);
        }
        _exit(0);
    }
    close(ends[1]);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    if (read_all("-", 4096, &out, &e)) fail_msg("%s", e.msg);
    assert_true(str_eq(buf_view(&out), STR("by and by")));
    assert_int_equal(dup2(old, STDIN_FILENO), STDIN_FILENO); /* it had been left open */
    close(old);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    buf_release(&packed);
    buf_release(&out);
}

/* --- lines -------------------------------------------------------------------------------- */

static void check_lines(str text)
{
    lines *l = NULL;
    err e = {0};
    str line = {0};
    size_t at = 0;
    uint64_t n = 0;
    write_file(text);
    if (lines_open(path, text.n + 1, NULL, &l, &e)) fail_msg("%s", e.msg);
    for (;;) {
        if (lines_next(l, &line, &e)) fail_msg("%s", e.msg);
        assert_int_equal(lines_number(l), n += line.n > 0);
        if (!line.n) break;
        const char *nl = memchr(text.p + at, '\n', text.n - at);
        assert_true(
            str_eq(line, (str){text.p + at, nl ? (size_t)(nl + 1 - text.p) - at : text.n - at}));
        at += line.n;
    }
    assert_int_equal(at, text.n);
    lines_close(l);
}

static void test_lines(void **state)
{
    (void)state;
    buf b = {0};
    check_lines(STR(""));
    check_lines(STR("\n"));
    check_lines(STR("one"));
    check_lines(STR("one\r\n\n\0two\n\n"));
    for (size_t i = 0; i < 40; i++) { /* longer and longer ones, past the pieces it reads */
        for (size_t k = 0; k < i * i * i; k++) buf_char(&b, 'x');
        buf_char(&b, '\n');
    }
    check_lines(buf_view(&b));
    buf_release(&b);
}

static void test_line_limit(void **state)
{
    (void)state;
    lines *l = NULL;
    str line;
    err e = {0};
    write_file(STR("1234567\n12345678\n1"));
    assert_int_equal(lines_open(path, 8, NULL, &l, &e), ST_OK);
    assert_int_equal(lines_next(l, &line, &e), ST_OK);
    assert_int_equal(line.n, 8);
    assert_int_equal(lines_next(l, &line, &e), ST_FAILED);
    assert_non_null(strstr(e.msg, "line 2"));
    lines_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blobs),
        cmocka_unit_test(test_damaged_blobs),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_members_and_frames),
        cmocka_unit_test(test_padding_and_skippable_frames),
        cmocka_unit_test(test_cut_and_damaged),
        cmocka_unit_test(test_what_cannot_be_read),
        cmocka_unit_test(test_standard_input),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_line_limit),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}

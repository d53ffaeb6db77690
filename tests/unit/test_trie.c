/* test_trie.c - the trie against a search through the list of its tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "embed/trie.h"

static uint32_t random_state = 5;

static uint32_t below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

/* Bytes from 1 to `letters`, spread so that the high ones are met. */
static str random_text(char *room, size_t most, uint32_t letters)
{
    size_t n = 1 + below((uint32_t)most);
    for (size_t i = 0; i < n; i++) room[i] = (char)(255 - below(letters) * (254 / letters));
    return (str){room, n};
}

static int32_t plain_longest(const trie_token *tokens, size_t n, str word, size_t *length)
{
    int32_t id = TRIE_NONE;
    *length = 0;
    for (size_t i = 0; i < n; i++) {
        str t = tokens[i].text;
        bool fits = t.n <= word.n && memcmp(t.p, word.p, t.n) == 0;
        if (!fits || t.n < *length || (t.n == *length && tokens[i].id < id)) continue;
        *length = t.n;
        id = tokens[i].id;
    }
    return id;
}

static size_t n_hits, n_misses;

static void check(size_t n_tokens, size_t longest, uint32_t letters)
{
    enum { ROOM = 16, WORDS = 400 };
    char *bytes = malloc(n_tokens * ROOM + 1), word[ROOM];
    trie_token *tokens = calloc(n_tokens + 1, sizeof *tokens);
    trie t = {0};
    err e = {0};
    assert_non_null(bytes);
    assert_non_null(tokens);
    for (size_t i = 0; i < n_tokens; i++)
        tokens[i] =
            (trie_token){random_text(bytes + i * ROOM, longest, letters), (int32_t)(i * 7 % 1009)};
    assert_int_equal(trie_build(&t, tokens, n_tokens, &e), ST_OK);
    for (size_t i = 0; i < WORDS; i++) {
        size_t want_n, n = 0;
        str w = random_text(word, ROOM, letters);
        int32_t want = plain_longest(tokens, n_tokens, w, &want_n);
        assert_int_equal(trie_longest(&t, w, &n), want);
        if (want == TRIE_NONE) {
            n_misses++;
            continue;
        }
        n_hits++;
        assert_int_equal(n, want_n);
    }
    trie_release(&t);
    free(tokens);
    free(bytes);
}

static void test_the_longest_token_is_found(void **state)
{
    (void)state;
    for (uint32_t letters = 1; letters <= 254; letters = letters * 2 + 1) {
        check(0, 1, letters);
        check(1, 3, letters);
        check(40, 6, letters);
        check(2000, 4, letters);
    }
    check(20000, 12, 30); /* more than one growth, and holes to fill */
    check(20000, 3, 254);
    assert_true(n_hits > 2000 && n_misses > 2000);
}

static void test_nothing_is_found_in_nothing(void **state)
{
    (void)state;
    trie t = {0};
    err e = {0};
    size_t n = 0;
    trie_token one = {STR("ab"), 3};
    assert_int_equal(trie_build(&t, &one, 1, &e), ST_OK);
    assert_int_equal(trie_longest(&t, STR(""), &n), TRIE_NONE);
    assert_int_equal(trie_longest(&t, STR("a"), &n), TRIE_NONE);
    assert_int_equal(trie_longest(&t, STR("ba"), &n), TRIE_NONE);
    assert_int_equal(trie_longest(&t, STR("abc"), &n), 3);
    assert_int_equal(n, 2);
    trie_release(&t);
    trie_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_token_is_found),
        cmocka_unit_test(test_nothing_is_found_in_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* fuzz_safetensors.c - any bytes as model.safetensors: tensors that lie within the file, or
 * refused; every value of them is read. */
#include <string.h>

#include "embed/safetensors.h"
#include "fuzz.h"

static void read_all(const tensor *t)
{
    static volatile float sink;
    for (size_t i = 0; i < t->rows * t->cols; i++) {
        float v;
        memcpy(&v, t->p + i * sizeof v, sizeof v);
        sink = v;
    }
    (void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "b", "embeddings.word_embeddings.weight"};
    char path[FUZZ_PATH];
    err e = {0};
    safetensors s = {0};
    tensor t;
    int fd = fuzz_file(data, size, path);
    if (safetensors_open(&s, path, &e) == ST_OK) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            for (size_t cols = 1; cols < 5; cols++) {
                if (safetensors_matrix(&s, names[i], 0, cols, &t, &e) == ST_OK) read_all(&t);
                if (safetensors_vector(&s, names[i], cols, &t, &e) == ST_OK) read_all(&t);
            }
            (void)safetensors_has(&s, names[i]);
        }
        safetensors_forget(&s);
    } else {
        must(strstr(e.msg, path) != NULL);
    }
    safetensors_release(&s);
    close(fd);
    return 0;
}

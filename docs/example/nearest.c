/* nearest.c - how near is each text to the first one?
 *
 *     cc nearest.c $(pkg-config --cflags --libs tamis) -o nearest
 *     ./nearest "$(tamis model path)" 'I lost my card' 'my card is gone' 'Good morning!' */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tamis.h>

int main(int argc, char **argv)
{
    tamis_error error = {0};
    tamis_model *model = NULL;
    size_t n = argc > 3 ? (size_t)argc - 2 : 0, dim = 0;
    tamis_text *texts = calloc(n + 1, sizeof *texts);
    float *vectors = NULL;
    int failed = 0;
    if (n && texts && tamis_model_open(argv[1], 0, &model, &error) == TAMIS_OK) {
        dim = tamis_model_dimension(model);
        vectors = calloc(n, dim * sizeof *vectors);
        for (size_t i = 0; i < n; i++) texts[i] = (tamis_text){argv[i + 2], strlen(argv[i + 2])};
    }
    if (!vectors || tamis_embed(model, texts, n, vectors, NULL, &error)) {
        fprintf(stderr, "nearest: %s\n", n ? error.message : "usage: nearest MODEL TEXT TEXT...");
        failed = 1;
    }
    for (size_t i = 1; i < n && !failed; i++) {
        double cosine = 0; /* the vectors are of unit length */
        for (size_t k = 0; k < dim; k++)
            cosine += (double)vectors[k] * (double)vectors[i * dim + k];
        printf("%.4f  %s\n", cosine, argv[i + 2]);
    }
    tamis_model_free(model);
    free(vectors);
    free(texts);
    return failed;
}

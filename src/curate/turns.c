/* turns.c - pairs the latest user message before an answer with that answer.
 *
 * As the reference's extract_turns: texts are stripped first, empty ones and senders
 * other than user and bot are passed over, and an answer uses its question up. */
#include "curate/turns.h"

#include "base/utf8.h"

size_t turns_limit(const interaction *i)
{
    return i->n_messages / 2;
}

size_t turns_pair(const interaction *i, turn *out, size_t *n_not_text)
{
    size_t n = 0;
    str question = {0};
    bool is_masked = false; /* the question */
    for (size_t k = 0; k < i->n_messages; k++) {
        const message *m = &i->messages[k];
        bool user = str_eq(m->from, STR("user")), bot = str_eq(m->from, STR("bot"));
        str text = utf8_strip(m->text);
        *n_not_text += !m->is_text;
        if (!text.n || !(user || bot)) continue;
        if (user) {
            question = text;
            is_masked = m->is_masked;
        } else if (question.n) {
            out[n] = (turn){.of = i,
                            .number = (uint32_t)n,
                            .user_utterance = question,
                            .bot_response = text,
                            .is_masked = is_masked || m->is_masked};
            n++;
            question = (str){0};
        }
    }
    return n;
}

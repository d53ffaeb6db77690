/* adapter.h - what an API's adapter is made of, for the files of this folder alone. */
#ifndef TAMIS_SOURCE_ADAPTER_H
#define TAMIS_SOURCE_ADAPTER_H

#include "source/talk.h"

typedef struct adapter {
    const char *type; /* source.type */
    /* What this API needs of the options beyond what all do; ST_USAGE. */
    status (*check)(const source_options *o, err *e);
    /* TRIAL_PAGE, TRIAL_FILTER and TRIAL_OLDEST; see source_try. */
    status (*try)(source *s, source_trial what, source_finding *out, err *e);
    /* Of APIs that are read as lists in order of time: which, up to one without a name. */
    const source_list *lists;
    status (*list)(source *s, const list_query *q, source_page *out, err *e);
    /* Of APIs that give contacts with their messages. */
    status (*contacts)(source *s, const contacts_query *q, source_page *out, buf *next, err *e);
    status (*messages)(source *s, str contact, arena *a, str **raws, size_t *n, messages_end *how,
                       err *e);
    double retention;        /* seconds that the API keeps what it has, as a rule; 0: not known */
    const char *page_advice; /* what to do where TRIAL_PAGE fails */
} adapter;

struct source {
    talk talk;
    const adapter *adapter;
    buf url;                         /* of the request that is going on */
    source_page *page;               /* that it fills */
    bool asks_range;                 /* and whether it asks for a range */
    bool bare_times, filter_refused; /* cognigy.c */
    bool *page_failed;
    bool takes_one, not_found, no_dates; /* dfo.c */
};

extern const adapter interactions_v2, cognigy_odata, dfo;

#endif

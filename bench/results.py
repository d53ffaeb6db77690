"""What was measured, as CSV, and RESULTS.md made of all the CSV files there are.

A file is one measure on one kind of machine: avx2-embed.csv.  Its head says, in lines that begin
with "# ", when, where and with what; a row is one figure: the median of its runs, least and
most.  Where a program gave no figure the row says why.  RESULTS.md is written from these
files alone, so a run on another machine adds to it.
"""

import csv
import glob
import os
import statistics

COLUMNS = ["case", "program", "isa", "quantity", "unit", "runs", "median", "min", "max", "note"]
MEASURES = ["embed", "start", "end-to-end", "stages", "join", "sync"]
ISAS = ["scalar", "avx2", "avx512", "avx512vnni"]
MIB = 1024.0

TAMIS, ST, SCRIPT = "tamis", "sentence-transformers", "reference script"
EXACT, FAST = "tamis, precision = exact", "tamis, precision = fast"  # by bench/encode.c
PUBLISHED = "reference script, with its pause of 0.5 s"
OPENVINO = "openvino"
ORT_INT8 = "onnxruntime int8"
FAST_TIMES = {"avx2": 1.5, "avx512vnni": 2.0}  # exact, that fast is asked to be
MACHINE = "the processor's peak"
WHOLE, ALONE = "whole process", "encoding alone"
SECONDS, CPU, PART = "seconds", "CPU seconds", "seconds: "
PEAK, ANONYMOUS, BEYOND = "peak memory", "anonymous memory", "beyond the model"
PEAK_OF, PEAK_UNIT = "peak: ", "Gop/s"
SHARE = "share of the float32 peak"
FAISS, NUMPY = "faiss range_search, greedy", "NumPy blocks, greedy"
SEMHASH, SEMDEDUP = "SemHash", "rule of SemDeDup"
WORK, KEPT, WRITTEN = "seconds of the work alone", "kept rows", "written"
KEPT_NEAR, UNCOVERED = "kept rows with a kept neighbour", "removed rows that nothing covers"
AGAIN, MET_ALL = "seconds of the second run", "rows that met all kept ones again"
RATE, REQUESTS, SECOND = "interactions/s", "requests", "requests of a second sync"
STAGE, STAGE_PARTS = "tamis: ", ("embed", "dedup", "compare")
FAILED = "no figure"


def row(case, contender, quantity, unit, values, note=""):
    values = list(values)
    spread = [statistics.median(values), min(values), max(values)] if values else ["", "", ""]
    spread = ["%.6g" % v if values else v for v in spread]
    return dict(zip(COLUMNS, [case, contender.name, contender.isa, quantity, unit, len(values)]
                    + spread + [note]))


def failed(case, contender, why):
    return row(case, contender, FAILED, "", [], why)


def memory_rows(case, contender, model_mib):
    peaks = [r["peak_kib"] / MIB for r in contender.runs]
    anonymous = [r["anonymous_kib"] / MIB for r in contender.runs]
    yield row(case, contender, PEAK, "MiB", peaks)
    yield row(case, contender, ANONYMOUS, "MiB", anonymous)
    # only the used pages of a mapped model are resident: taking all of it off could hide memory
    yield row(case, contender, BEYOND, "MiB",
              [max(p - model_mib, a) for p, a in zip(peaks, anonymous)])


def share_rows(case, contender, flop, peak):
    """How near `flop` in the time of each run comes to the peak, of the width of vectors that tamis
    was held to; without what a peer needs before it encodes."""
    kinds = peak[0].runs[0] if peak and peak[0].runs else {}
    width = "256 bits" if contender.isa == "avx2" else ""
    kinds = [k for k in kinds if k.startswith("fp32") and k.endswith(width)]
    if not flop or not kinds or contender.isa == "scalar":
        return
    most = max(statistics.median(r[k] for r in peak[0].runs) for k in kinds) * 1e9
    yield row(case, contender, SHARE, "%",
              (100 * flop / r.get("encode", r["wall"]) / most for r in contender.runs))


def write(path, head, rows):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "w", encoding="utf-8", newline="") as f:
        for key, value in head.items():
            f.write("# %s: %s\n" % (key, value))
        writer = csv.DictWriter(f, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(path + ".part", path)


def read(path):
    """(head, rows) of a file."""
    head = {}
    with open(path, encoding="utf-8", newline="") as f:
        lines = f.read().splitlines(keepends=True)
    while lines and lines[0].startswith("# "):
        key, _, value = lines.pop(0)[2:].rstrip("\n").partition(": ")
        head[key] = value
    return head, list(csv.DictReader(lines))


class Table:
    """The rows of one file, to be asked."""

    def __init__(self, rows):
        self.rows = rows
        self.cases = list(dict.fromkeys(r["case"] for r in rows))

    def programs(self, case):
        found = ((r["program"], r["isa"]) for r in self.rows
                 if r["case"] == case and r["program"] != MACHINE)
        return list(dict.fromkeys(found))

    def peaks(self, case):
        """What the processor can do, in words."""
        found = (r for r in self.rows if r["case"] == case and r["program"] == MACHINE
                 and r["quantity"].startswith(PEAK_OF))
        return ", ".join("%s %s" % (r["quantity"][len(PEAK_OF):], number(float(r["median"])))
                         for r in found)

    def find(self, case, program, isa, quantity):
        for r in self.rows:
            if (r["case"], r["program"], r["quantity"]) == (case, program, quantity) and \
                    isa in (None, r["isa"]):
                return r
        return None

    def value(self, case, program, isa, quantity):
        r = self.find(case, program, isa, quantity)
        return float(r["median"]) if r and r["median"] else None

    def cell(self, case, program, isa, quantity):
        r = self.find(case, program, isa, quantity)
        if not r or not r["median"]:
            return ""
        middle, least, most = (number(float(r[k]), r["unit"] == "rows")
                               for k in ("median", "min", "max"))
        return middle if r["runs"] == "1" else "%s (%s to %s)" % (middle, least, most)

    def runs(self, case, program, isa):
        counts = [int(r["runs"]) for r in self.rows
                  if (r["case"], r["program"], r["isa"]) == (case, program, isa)]
        return str(max(counts))

    def best_tamis(self, case):
        """The instruction set tamis was best with: the highest that gave a figure."""
        isas = [i for p, i in self.programs(case) if p == TAMIS
                and not self.find(case, p, i, FAILED)]
        return max(isas, key=ISAS.index, default=None)


def number(v, whole=False):
    if whole or v >= 1000:
        return "{:,.0f}".format(v)
    return "%.*f" % (sum(v < bound for bound in (1, 10, 100)), v)


def ratio(a, b):
    return "" if not a or not b else "%.2f" % (a / b)


def markdown_table(head, body):
    rule = ["---"] * 2 + ["--:"] * (len(head) - 2)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule] + body) + "\n"


def program_rows(table, case, quantities, extra=lambda program, isa: []):
    for program, isa in table.programs(case):
        no = table.find(case, program, isa, FAILED)
        cells = [table.cell(case, program, isa, q) for q in quantities]
        if no:
            cells[0] = no["note"]
        yield [program, isa, table.runs(case, program, isa)] + cells + extra(program, isa)


def notes(table, case):
    found = dict.fromkeys("%s: %s" % (" ".join(filter(None, (r["program"], r["isa"]))), r["note"])
                          for r in table.rows
                          if r["case"] == case and r["note"] and r["quantity"] != FAILED)
    return "".join("- %s.\n" % n for n in found)


def parts(table, case):
    """Where the time of a job went, by its own account."""
    own = [r for r in table.rows if r["case"] == case and r["quantity"].startswith(PART)]
    said = ("%s %s" % (r["quantity"][len(PART):], number(float(r["median"]))) for r in own)
    return "- %s, seconds by its own account: %s.\n" % (own[0]["program"], ", ".join(said)) \
        if own else ""


def embed_section(head, table):
    yield "### Texts to vectors\n"
    for case in table.cases:
        yield "**%s**: %s.\n" % (case, head.get("case " + case, ""))
        bases = [table.value(case, ST, None, q) for q in (WHOLE, ALONE)]

        def times(program, isa):
            whole, alone = (table.value(case, program, isa, q) for q in (WHOLE, ALONE))
            return [ratio(whole, bases[0]),
                    ratio(whole if program == TAMIS else alone, bases[1])]
        yield markdown_table(
            ["program", "instructions", "runs", "utterances/s, whole process",
             "encoding alone", "% of the peak", "CPU seconds", "peak MiB", "beyond the model",
             "times ST", "times ST's encoding"],
            list(program_rows(table, case, [WHOLE, ALONE, SHARE, CPU, PEAK, BEYOND], times)))
        if table.peaks(case):
            yield "- %s (Gop/s; clock in GHz): %s.\n" % (MACHINE, table.peaks(case))
        yield notes(table, case)
    yield ("The whole process starts, loads the model, encodes, writes the vectors, ends. The last "
           "column sets encoding alone, for `tamis embed` that whole, against "
           "sentence-transformers (ST) without its start, imports and loading. \"% of the peak\" "
           "is what the tokens need, 21.23 million operations each and nothing counted for "
           "attention, by the time (encoding alone, with tokenizing; `tamis embed` by itself: the "
           "whole process), of the float32 multiply-adds that the processor did at best in the "
           "same minutes (tamis with avx2: in registers of 256 bits).  Where a row names a "
           "precision, `bench/encode.c` calls the encoder.  Encoding alone begins after one short "
           "text, with the peers, too: what is made at the first text is part of the load.\n")


def start_section(_head, table):
    yield "### From start to the first vector\n"
    for case in table.cases:
        base = table.value(case, ST, None, SECONDS)
        yield markdown_table(
            ["program", "instructions", "runs", "seconds, one text, whole process", "peak MiB",
             "beyond the model", "of ST's time"],
            list(program_rows(table, case, [SECONDS, PEAK, BEYOND], lambda p, i: [
                ratio(table.value(case, p, i, SECONDS), base)])))
        yield notes(table, case)


def end_section(head, table):
    yield "### End to end: extract, filter, pair, embed, deduplicate, export\n"
    for case in table.cases:
        base = [table.value(case, SCRIPT, None, q) for q in (SECONDS, BEYOND)]

        def times(program, isa):
            own = [table.value(case, program, isa, q) for q in (SECONDS, BEYOND)]
            return [ratio(base[0], own[0]), ratio(own[1], base[1])]
        yield "**%s**: %s.\n" % (case, head.get("case " + case, ""))
        yield markdown_table(
            ["program", "instructions", "runs", "seconds", "CPU seconds", "peak MiB",
             "beyond the model", "times as fast", "of its memory beyond the model"],
            list(program_rows(table, case, [SECONDS, CPU, PEAK, BEYOND], times)))
        yield notes(table, case) + parts(table, case)


def stages_section(head, table):
    yield "### From interactions at a server to a verified CSV, stage by stage\n"
    for case in table.cases:
        yield "**%s**: %s.\n" % (case, head.get("case " + case, ""))
        yield markdown_table(
            ["program", "instructions", "runs", "seconds", "of them embedding", "deduplicating",
             "comparing", "CPU seconds", "peak MiB", "rows kept", "KiB written"],
            list(program_rows(table, case, [SECONDS] + [PART + p for p in STAGE_PARTS] +
                              [CPU, PEAK, KEPT, WRITTEN])))
    yield ("Each stage is a command of its own; curate rates, pairs, embeds and deduplicates; "
           "verify embeds the exported texts anew and compares all their pairs by brute force; "
           "report and tune, of vectors that are there, are no part of `all`, and what they write "
           "goes to standard output.  "
           "Beyond what the corpus holds it is repeated with other numbers in its texts.\n")


def join_section(head, table):
    yield "### Vectors to distinct rows, threshold 0.85\n"
    for case in table.cases:
        yield "**%s**: %s.\n" % (case, head.get("case " + case, ""))
        if any(r["quantity"] == AGAIN for r in table.rows if r["case"] == case):
            yield from incremental_table(table, case)
            continue
        base = table.value(case, FAISS, None, WORK)
        yield markdown_table(
            ["program", "instructions", "runs", "seconds of the work alone", "whole process",
             "CPU seconds", "peak MiB", "kept", "kept, with a kept neighbour",
             "removed, covered by nothing", "times as fast as faiss"],
            list(program_rows(table, case, [WORK, SECONDS, CPU, PEAK, KEPT, KEPT_NEAR, UNCOVERED],
                              lambda p, i: [ratio(base, table.value(case, p, i, WORK))])))
        yield notes(table, case)
    yield ("The work alone is what a program does once it is loaded and has read the vectors; for "
           "tamis it includes the choice of a plan and the making of codes. What is wrong with a "
           "list of kept rows is counted by `bench/join_peer.py check`, all pairs, in double "
           "precision near the threshold.\n")


def incremental_table(table, case):
    for program, isa in table.programs(case):
        batch, again = (table.value(case, program, isa, q) for q in (WORK, AGAIN))
        yield markdown_table(
            ["program", "instructions", "seconds, all rows",
             "seconds, the new ones into the others", "share", "rows that met all kept ones"],
            [[program, isa, table.cell(case, program, isa, WORK),
              table.cell(case, program, isa, AGAIN), "%.1f %%" % (100 * again / batch),
              table.cell(case, program, isa, MET_ALL)]] if batch else [])


def sync_section(head, table):
    yield "### Extraction alone\n"
    for case in table.cases:
        base = table.value(case, SCRIPT, None, RATE)

        def times(program, isa):
            return [ratio(table.value(case, program, isa, RATE), base)]
        yield "**%s**: %s.\n" % (case, head.get("case " + case, ""))
        yield markdown_table(
            ["program", "", "runs", "interactions/s", "CPU seconds", "peak MiB", "requests",
             "of a second sync", "times the script"],
            list(program_rows(table, case, [RATE, CPU, PEAK, REQUESTS, SECOND], times)))
        yield notes(table, case)
    yield ("The script's loop keeps what it fetched in memory, and its start does not count; tamis "
           "checks each record, packs it, stores it, and syncs the disk for each page. A second "
           "sync of nothing new asks for the look-back of seven days alone.\n")


SECTIONS = {"embed": embed_section, "start": start_section, "end-to-end": end_section,
            "stages": stages_section, "join": join_section, "sync": sync_section}


def verdict(met):
    return "not measured" if met is None else "met" if met else "**not met**"


def compared(a, b, test):
    return None if a is None or b is None else test(a, b)


def embed_targets(embed, case):
    """Encoding alone, tokenizing included; of a run without that figure, whole processes."""
    best = embed.best_tamis(case)
    alone = embed.value(case, EXACT, best, ALONE)
    program, own, said = (EXACT, alone, "") if alone else (
        TAMIS, embed.value(case, TAMIS, best, WHOLE), ", its start included,")
    for isa in ISAS[1:]:
        share = embed.value(case, program, isa, SHARE)
        if share:
            yield ["embed (%s): %s%s at 80 %% of the float32 peak or more" % (case, isa, said),
                   verdict(share >= 80), "%.1f %%" % share]
    for other in (ST, OPENVINO):
        peer = embed.value(case, other, None, ALONE)
        yield ["embed (%s)%s at least as fast as %s, encoding alone" % (case, said, other),
               verdict(compared(own, peer, lambda a, b: a >= b)),
               "%s times" % ratio(own, peer) if own and peer else ""]
    yield from fast_targets(embed, case)


def fast_targets(embed, case):
    """precision = fast, encoding alone; of a run without that figure of exact, whole processes
    against exact."""
    for isa, asked in FAST_TIMES.items():
        exact, fast = (embed.value(case, name, isa, ALONE) for name in (EXACT, FAST))
        if not exact:
            exact, fast = (embed.value(case, name, isa, WHOLE) for name in (TAMIS, FAST))
        if fast:
            yield ["embed (%s, precision = fast): %s at %.1f times exact or more" % (
                case, isa, asked), verdict(compared(fast, exact, lambda a, b: a >= asked * b)),
                "%s times" % ratio(fast, exact)]
    own = max((embed.value(case, FAST, isa, ALONE) or 0 for isa in ISAS), default=0) or None
    peer = embed.value(case, ORT_INT8, None, ALONE)
    if own:
        yield ["embed (%s, precision = fast) ahead of %s, encoding alone" % (case, ORT_INT8),
               verdict(compared(own, peer, lambda a, b: a > b)),
               "%s times" % ratio(own, peer) if peer else ""]


def targets(tables):
    """What was asked, and what was seen."""
    body = []
    embed, start, end, _, join, sync = (tables.get(m) for m in MEASURES)
    for case in embed.cases if embed else []:
        body += embed_targets(embed, case)
    for case in start.cases if start else []:
        own = start.value(case, TAMIS, start.best_tamis(case), SECONDS)
        body.append(["start to first vector under 0.1 s",
                     verdict(compared(own, 0.1, lambda a, b: a < b)),
                     "%.3f s" % own if own else ""])
    body += end_targets(end) if end else []
    body += join_targets(join) if join else []
    body += sync_targets(sync) if sync else []
    return markdown_table(["asked", "", "seen"], body) if body else ""


def end_targets(end):
    """Of the largest case of each corpus, with both precisions: they give the same bytes."""
    for case in {case.split(",")[0]: case for case in end.cases}.values():
        isa = end.best_tamis(case)
        for program, said in (TAMIS, ""), (FAST, ", precision = fast"):
            speed, other_speed, memory, other_memory = (
                end.value(case, p, i, quantity) for quantity in (SECONDS, BEYOND)
                for p, i in ((program, isa), (SCRIPT, None)))
            if not speed:
                continue
            yield ["end to end (%s%s): at least 3 times as fast as the reference script" % (
                       case, said),
                   verdict(compared(speed, other_speed, lambda a, b: 3 * a <= b)),
                   "%s times" % ratio(other_speed, speed) if other_speed else ""]
            yield ["end to end (%s%s): at most a tenth of its memory beyond the model" % (
                       case, said),
                   verdict(compared(memory, other_memory, lambda a, b: 10 * a <= b)),
                   "%.3f of it" % (memory / other_memory) if other_memory else ""]


def join_targets(join):
    for case in join.cases:
        isa = join.best_tamis(case)
        own, other = join.value(case, TAMIS, isa, WORK), join.value(case, FAISS, None, WORK)
        again = join.value(case, TAMIS, isa, AGAIN)
        if not own:
            continue
        if other:
            yield ["dedup (%s) at least 10 times as fast as faiss" % case,
                   verdict(compared(own, other, lambda a, b: 10 * a <= b)),
                   "%s times" % ratio(other, own)]
        if again:
            yield ["dedup (%s) within 2 %% of the time for all" % case,
                   verdict(again <= 0.02 * own), "%.1f %%" % (100 * again / own)]
        elif case.startswith("1,000,000"):
            most = 60 if isa == "avx512vnni" else 180
            yield ["dedup (%s) within %d s" % (case, most), verdict(own <= most), "%.0f s" % own]


def sync_targets(sync):
    """Of the largest case; its memory against that of the smallest."""
    small, large = sync.cases[0], sync.cases[-1]
    own, script = (sync.value(large, p, None, RATE) for p in (TAMIS, SCRIPT))
    yield ["sync (%s): at least 5 times the script's fetch loop" % large,
           verdict(compared(own, script, lambda a, b: a >= 5 * b)),
           "%s times" % ratio(own, script) if own and script else ""]
    paused = sync.value(small, PUBLISHED, None, RATE)
    own = sync.value(small, TAMIS, None, RATE)
    if own and paused:
        yield ["sync (%s): at least 5 times that loop with the pause that it was published with"
               % small, verdict(own >= 5 * paused), "%s times" % ratio(own, paused)]
    little, much = (sync.value(case, TAMIS, None, PEAK) for case in (small, large))
    yield ["sync: memory within 64 MiB of that at %s" % small,
           verdict(compared(little, much, lambda a, b: b - a <= 64)),
           "%.1f MiB more" % (much - little) if little and much else ""]


OPENING = """# What was measured

Written by `bench/run.py` (`./dev bench`) from the files in `bench/results`; not to be edited.
Each figure is the median of its runs, with the least and the most where there were several.
Programs take turns, run by run, on the same inputs and so many processors as they have threads.
Peak MiB is the most that was resident, shared pages included; "beyond the model" is that less the
size of the model's file, %s MiB, or the anonymous memory alone where that is more. The peers'
libraries are what pip installs: on Linux that torch has CUDA built in, never used here, and loading
it is part of their start and of their memory.

"""


def render(directory):
    """RESULTS.md as text."""
    text, model = [], ""
    paths = glob.glob(os.path.join(directory, "*.csv"))
    for isa in reversed(ISAS):
        files = {m: read(p) for m in MEASURES for p in paths
                 if os.path.basename(p) == "%s-%s.csv" % (isa, m)}
        if not files:
            continue
        text.append("## A machine with %s\n" % isa)
        model = next(iter(files.values()))[0]["model MiB"]
        tables = {m: Table(rows) for m, (_, rows) in files.items()}
        text.append(targets(tables))
        told = None
        for m, (head, _) in files.items():
            said = "".join("- %s: %s\n" % kv for kv in head.items()
                           if not kv[0].startswith(("case ", "model MiB")))
            text += [said] if said != told else []  # as a rule all are of one run
            told = said
            text += SECTIONS[m](head, tables[m])
    return OPENING % model + "\n".join(p for p in text if p)

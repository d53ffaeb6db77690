/* fuzz_config.c - any bytes as tamis.ini: taken, and then it can be written down, or refused with
 * a line number. */
#include <string.h>

#include "config.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH];
    err e = {0};
    config c;
    buf text = {0};
    int fd = fuzz_file(data, size, path);
    must(config_init(&c, &e) == ST_OK);
    status st = config_load(&c, path, &e);
    must(st == ST_OK || st == ST_USAGE);
    must(st == ST_OK || strstr(e.msg, path));
    config_describe_curation(&c, &text);
    must(buf_ok(&text));
    buf_release(&text);
    config_release(&c);
    close(fd);
    return 0;
}
